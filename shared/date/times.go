package date

import "time"

// Stored is a time as every store of rows keeps it: in UTC, cut to the microsecond.
func Stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Earliest is the earlier one of two times; a zero time means never.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
