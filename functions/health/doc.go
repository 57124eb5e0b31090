// Package health serves GET /api/health: that the program runs, and which one it is. It
// asks nobody else, so it says nothing about the services behind it.
package health
