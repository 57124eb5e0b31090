package date

import (
	"fmt"
	"time"
)

// Date is a UTC calendar date. The zero Date means "not known".
type Date struct{ midnight time.Time }

// Of is the UTC date of t.
func Of(t time.Time) Date { return Date{t.UTC().Truncate(24 * time.Hour)} }

// Parse reads YYYY-MM-DD, and "" as the zero Date.
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

// IsZero tells whether the date is not known.
func (d Date) IsZero() bool { return d.midnight.IsZero() }

// Time is the midnight that begins the date; zero for the zero Date.
func (d Date) Time() time.Time { return d.midnight }

// AddDays moves a date that is not zero.
func (d Date) AddDays(n int) Date { return Date{d.midnight.AddDate(0, 0, n)} }

// DaysFrom counts the days from e to d.
func (d Date) DaysFrom(e Date) int { return int(d.midnight.Sub(e.midnight) / (24 * time.Hour)) }

// String is YYYY-MM-DD, or "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.midnight.Format(time.DateOnly)
}

// MarshalText writes String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what Parse reads.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = Parse(string(text))
	return err
}
