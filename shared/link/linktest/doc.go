// Package linktest holds what tests of links need: the conformance suite that every driver
// of [link.Stores] passes ([Run]), and a driver in memory whose network can fail ([Stores]).
package linktest
