// Package bolt keeps client secrets in an embedded data file, for one machine. It seals values
// with AES-256-GCM under a key in another file, so that a copy of the data file alone reveals
// only names and dates.
package bolt
