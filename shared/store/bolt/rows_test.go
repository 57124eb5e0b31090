package bolt_test

import (
	"strings"
	"testing"

	"fhirlink/shared/store"
)

func TestCorruptKeyedRow(t *testing.T) {
	db := open(t)
	s := newStore(t, db).KeyedRows()
	put(t, db, "rows", "a\x00S", `{"Value":"x"}`)
	row := store.Row{Key: store.Key{Partition: "a", Name: "S"}}
	_, read := s.Row(t.Context(), row.Key)
	_, _, swapped := s.Swap(t.Context(), row, "x")
	_, removed := s.Remove(t.Context(), row)
	_, listed := s.List(t.Context(), "a", "", "", 10)
	for i, err := range []error{read, swapped, removed, listed} {
		if err == nil || !strings.Contains(err.Error(), `"S"`) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}
