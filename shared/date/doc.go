// Package date is the UTC calendar date: the unit in which client secrets end and people are
// told about it.
package date
