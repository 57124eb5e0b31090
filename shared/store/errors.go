package store

import "errors"

// Errors of every store. Drivers wrap them with details. A driver returns no other text of the
// underlying service.
var (
	// ErrNotFound means that there is no row under that key.
	ErrNotFound = errors.New("row not found")
	// ErrExists means that there is already a row under that key.
	ErrExists = errors.New("row exists")
	// ErrUnavailable means that the database cannot be reached, throttles, or is failing. A later
	// retry may help. It is not known whether a write took effect.
	ErrUnavailable = errors.New("database unavailable")
)
