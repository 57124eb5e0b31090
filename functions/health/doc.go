// Package health serves GET /api/health: that the program runs, which one it is, and which of
// the services behind it answered when they were last called. It calls none of them itself, so
// that whoever watches the program is no load on them, and is not told off for their faults.
package health
