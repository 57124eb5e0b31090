package secrettest

import (
	"slices"
	"strconv"
	"strings"
)

// Restore returns a store with the given entries, which [Store.Entries] returned.
func Restore(entries []Entry) *Store {
	s := New()
	for _, e := range entries {
		held := s.entry(e.Name)
		held.Deleted, held.Versions = e.Deleted, slices.Clone(e.Versions)
		for _, v := range e.Versions {
			n, _ := strconv.ParseUint(strings.TrimLeft(v.ID, "0"), 16, 32) // an id from another store gives 0; it cannot equal a new id
			s.count = max(s.count, int(n))
		}
	}
	return s
}
