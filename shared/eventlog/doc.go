// Package eventlog writes the program's log: JSON lines on stdout, because the Functions host
// treats lines on stderr as errors. Each line has the ids of its request. Logging never waits for
// the reader of the log.
package eventlog
