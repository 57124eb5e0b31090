// Package egresstest is a network inside the process: HTTPS servers under names of their
// own, reached through the client of package egress as real servers are, with real TLS. It
// serves tests and the sandbox of cmd/local.
package egresstest
