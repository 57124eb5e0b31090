package celltest

import (
	"errors"
	"testing"

	"fhirlink/shared/store"
)

func TestCells(t *testing.T) { Run(t, func(*testing.T) store.Cells { return New() }) }

// TestFault makes each operation fail before and after it takes place.
func TestFault(t *testing.T) {
	failed := errors.New("fault")
	for _, before := range []bool{true, false} {
		s := New()
		var ops []string
		s.Fault = func(op string, b bool) error {
			ops = append(ops, op)
			if b == before {
				return failed
			}
			return nil
		}
		c, err := s.Cell(t.Context(), "cell")
		if err != failed || c != (store.Cell{}) { // the error must be returned unchanged
			t.Errorf("Cell = %+v, %v, want the fault", c, err)
		}
		c, swapped, err := s.Swap(t.Context(), "cell", store.Cell{}, "one")
		if err != failed || swapped || c != (store.Cell{}) {
			t.Errorf("Swap = %+v, %v, %v, want the fault", c, swapped, err)
		}
		if want := map[bool]int{true: 2, false: 4}[before]; len(ops) != want {
			t.Errorf("Fault was called for %v, want %d calls", ops, want)
		}
		s.Fault = nil
		if c := read(t, s, "cell"); (c.Value == "one") == before {
			t.Errorf("took place: %v", !before)
		}
	}
}
