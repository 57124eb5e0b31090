// Package eventlog writes the program's log: JSON lines on stdout (the Functions host turns
// lines on stderr into errors), each with the ids of the request it belongs to, and never
// waiting for whoever reads them.
package eventlog
