package telling

import (
	"slices"
	"time"

	"fhirlink/shared/date"
)

// askAgain is how often a missing date is asked for, in days.
const askAgain = 30

// Thresholds are the days before a secret's end at which people are told.
type Thresholds struct{ days []int } // the greatest first

// DefaultThresholds are 60, 30, 14, 7, 3, 1 and 0 days.
func DefaultThresholds() Thresholds { return NewThresholds([]int{60, 30, 14, 7, 3, 1, 0}) }

// NewThresholds takes the days in any order.
func NewThresholds(days []int) Thresholds {
	sorted := slices.Sorted(slices.Values(days))
	slices.Reverse(sorted)
	return Thresholds{sorted}
}

// Next is when people must be told next about the end of a secret, of which they have been told
// up to a date: at the first threshold after that date, on the day after the end, or when a
// missing end is to be asked for again. Zero: never.
func (t Thresholds) Next(end, toldUpTo date.Date) time.Time {
	if end.IsZero() {
		if toldUpTo.IsZero() {
			return time.Time{}
		}
		return toldUpTo.AddDays(askAgain).Time()
	}
	for _, days := range t.days {
		if d := end.AddDays(-days); d.DaysFrom(toldUpTo) > 0 {
			return d.Time()
		}
	}
	if d := end.AddDays(1); d.DaysFrom(toldUpTo) > 0 {
		return d.Time()
	}
	return time.Time{}
}

// Passed is the tightest threshold that so many days left have passed.
func (t Thresholds) Passed(daysLeft int) int {
	passed := daysLeft
	for _, days := range t.days {
		if days >= daysLeft {
			passed = days
		}
	}
	return passed
}
