// Package flight has concurrent callers share one piece of work. It is
// golang.org/x/sync/singleflight with what that lacks for requests: each caller waits no longer
// than its own context, the work has a deadline of its own, and a panic in it is an error
// instead of the end of the process.
package flight
