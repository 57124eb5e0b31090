package secrettest

import (
	"slices"
	"strconv"
	"strings"
)

// Restore returns a store that holds the entries, as Entries gave them.
func Restore(entries []Entry) *Store {
	s := New()
	for _, e := range entries {
		held := s.entry(e.Name)
		held.Deleted, held.Versions = e.Deleted, slices.Clone(e.Versions)
		for _, v := range e.Versions {
			n, _ := strconv.ParseUint(strings.TrimLeft(v.ID, "0"), 16, 32) // of another maker: 0, it cannot meet a new one
			s.count = max(s.count, int(n))
		}
	}
	return s
}
