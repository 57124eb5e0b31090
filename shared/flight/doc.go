// Package flight lets concurrent callers share one piece of work. It adds to
// golang.org/x/sync/singleflight what requests need: a caller waits no longer than its own
// context, and the work has its own deadline. A panic in the work becomes an error instead of
// ending the process.
package flight
