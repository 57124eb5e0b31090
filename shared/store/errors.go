package store

import "errors"

// Errors of every store. Drivers wrap them with what they know. No other text of the
// underlying service leaves a driver.
var (
	// ErrNotFound is the error when there is no row under that key.
	ErrNotFound = errors.New("row not found")
	// ErrExists is the error when the key has a row already.
	ErrExists = errors.New("row exists")
	// ErrUnavailable is the error when the database could not be reached, throttles, or is
	// failing. Trying again later may help. Whether a write took effect is then not known.
	ErrUnavailable = errors.New("database unavailable")
)
