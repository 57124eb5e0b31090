// Package rowtest holds what tests of rows need: the conformance suite for every driver of [store.Rows]
// ([Run]), and rows in memory that can simulate network faults ([Rows]).
package rowtest
