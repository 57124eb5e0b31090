// Package celltest holds what tests of cells need: the conformance suite that every driver of
// [store.Cells] passes ([Run]), and cells in memory whose network can fail ([Cells]).
package celltest
