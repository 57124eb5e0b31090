package date

import "time"

// Instant is a time as callers get it: in UTC, with three digits for the milliseconds, always.
type Instant struct{ t time.Time }

// At returns the instant of t.
func At(t time.Time) Instant { return Instant{t} }

// AtOrNil returns the instant of t, or nil when t is zero.
func AtOrNil(t time.Time) *Instant {
	if t.IsZero() {
		return nil
	}
	return &Instant{t}
}

// String returns the instant in the form of RFC 3339, e.g. 2026-11-23T12:00:00.000Z.
func (i Instant) String() string { return i.t.UTC().Format("2006-01-02T15:04:05.000Z") }

// MarshalText returns String.
func (i Instant) MarshalText() ([]byte, error) { return []byte(i.String()), nil }
