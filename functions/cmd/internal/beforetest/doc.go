// Package beforetest runs a program over data that an earlier version wrote: the rows of a table
// with their vault, and a data folder of cmd/local. testdata/README.md says how the data was made.
// The program must show every link as the earlier version did, serve and change each one, and
// finish what the earlier version left half done.
//
// The program's clock is set to the time of the data, so that a check means the same on any day.
package beforetest
