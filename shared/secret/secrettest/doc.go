// Package secrettest holds what tests of secrets need: the conformance suite for every
// [secret.Store] ([Run]), and a store in memory that can simulate network faults ([Store]).
package secrettest
