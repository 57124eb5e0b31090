// Package date represents UTC calendar dates, the unit in which client secrets expire and people
// are notified.
package date
