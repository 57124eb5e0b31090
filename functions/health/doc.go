// Package health serves GET /api/health. It answers that the program runs, which program it is,
// and which of the services behind it answered when they were last called. It calls none of them
// itself: a monitor must put no load on them, and must not report the program for their faults.
package health
