package date

import (
	"fmt"
	"time"
)

// Date is a UTC calendar date. The zero Date means "not known".
type Date struct{ midnight time.Time }

// Of returns the UTC date of t.
func Of(t time.Time) Date { return Date{t.UTC().Truncate(24 * time.Hour)} }

// Parse parses YYYY-MM-DD, and "" as the zero Date.
func Parse(s string) (Date, error) {
	if s == "" {
		return Date{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%.40q is not a date of the form YYYY-MM-DD", s)
	}
	return Date{t}, nil
}

// IsZero reports whether the date is not known.
func (d Date) IsZero() bool { return d.midnight.IsZero() }

// Time returns midnight at the start of the date, or the zero time for the zero Date.
func (d Date) Time() time.Time { return d.midnight }

// AddDays returns the date n days later. d must not be zero.
func (d Date) AddDays(n int) Date { return Date{d.midnight.AddDate(0, 0, n)} }

// DaysFrom returns the number of days from e to d.
func (d Date) DaysFrom(e Date) int { return int(d.midnight.Sub(e.midnight) / (24 * time.Hour)) }

// String returns the date as YYYY-MM-DD, or "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.midnight.Format(time.DateOnly)
}

// MarshalText returns String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts what Parse accepts.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = Parse(string(text))
	return err
}
