// Package egresstest is an in-process network of HTTPS servers for tests and for the sandbox of
// cmd/local. The client of package egress reaches the servers under their own names, with real
// TLS.
package egresstest
