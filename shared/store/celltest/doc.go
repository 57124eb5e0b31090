// Package celltest holds what tests of cells need: the conformance suite for every driver of
// [store.Cells] ([Run]), and cells in memory that can simulate network faults ([Cells]).
package celltest
