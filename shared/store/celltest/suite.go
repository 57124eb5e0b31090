package celltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"fhirlink/shared/store"
)

// Run tests a driver against the contract of [store.Cells]. open returns a store without cells;
// Run calls it once for each subtest.
func Run(t *testing.T, open func(*testing.T) store.Cells) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Cells)
	}{
		{"swap", swaps},
		{"are told apart by version", comparesVersions},
		{"are apart", keepsApart},
		{"one of many swaps wins", oneSwapWins},
		{"end with the context", endsWithContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func read(t *testing.T, s store.Cells, name string) store.Cell {
	t.Helper()
	c, err := s.Cell(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// holds fails the test unless the cell is want.
func holds(t *testing.T, s store.Cells, name string, want store.Cell) {
	t.Helper()
	if c := read(t, s, name); c != want {
		t.Errorf("Cell %s = %+v, want %+v", name, c, want)
	}
}

// swap fails the test unless the swap succeeds.
func swap(t *testing.T, s store.Cells, name string, old store.Cell, value string) store.Cell {
	t.Helper()
	next, swapped, err := s.Swap(t.Context(), name, old, value)
	if err != nil || !swapped || next.Value != value {
		t.Fatalf("Swap %s to %q = %+v, %v, %v", name, value, next, swapped, err)
	}
	return next
}

// refuses fails the test unless a swap of old is refused.
func refuses(t *testing.T, s store.Cells, name string, old store.Cell, value string) {
	t.Helper()
	if next, swapped, err := s.Swap(t.Context(), name, old, value); err != nil || swapped {
		t.Fatalf("Swap %s to %q = %+v, %v, %v, want that nothing is written", name, value, next, swapped, err)
	}
}

func swaps(t *testing.T, s store.Cells) {
	holds(t, s, "cell", store.Cell{})
	first := swap(t, s, "cell", store.Cell{}, "one")
	holds(t, s, "cell", first)
	refuses(t, s, "cell", store.Cell{}, "two")
	second := swap(t, s, "cell", first, `{"two":"ä `+"\U0001F3E5"+`"}`)
	refuses(t, s, "cell", first, "three")
	holds(t, s, "cell", second)
}

func comparesVersions(t *testing.T, s store.Cells) {
	first := swap(t, s, "cell", store.Cell{}, "one")
	empty := swap(t, s, "cell", first, "")
	refuses(t, s, "cell", store.Cell{}, "new") // the cell exists, with an empty value
	again := swap(t, s, "cell", empty, "one")
	refuses(t, s, "cell", first, "back") // the value is the same, but the cell has another version
	holds(t, s, "cell", again)
}

func keepsApart(t *testing.T, s store.Cells) {
	first := swap(t, s, "cell", store.Cell{}, "one")
	holds(t, s, "cell-2", store.Cell{})
	swap(t, s, "cell-2", store.Cell{}, "other")
	holds(t, s, "cell", first)
}

func oneSwapWins(t *testing.T, s store.Cells) {
	var old store.Cell
	for round := range 3 {
		var wg sync.WaitGroup
		var won atomic.Int32
		var next atomic.Pointer[store.Cell]
		for i := range 10 {
			wg.Go(func() {
				c, swapped, err := s.Swap(t.Context(), "cell", old, fmt.Sprint(round, i))
				if err != nil {
					t.Errorf("Swap: %v", err)
				}
				if swapped {
					won.Add(1)
					next.Store(&c)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 10 racing swaps won", won.Load())
		}
		if old = read(t, s, "cell"); old != *next.Load() {
			t.Errorf("the cell is %+v, the winner wrote %+v", old, *next.Load())
		}
	}
}

func endsWithContext(t *testing.T, s store.Cells) {
	first := swap(t, s, "cell", store.Cell{}, "one")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := s.Cell(over, "cell")
	_, _, swapErr := s.Swap(over, "cell", first, "two")
	for op, err := range map[string]error{"Cell": readErr, "Swap": swapErr} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s with a cancelled context = %v, want ErrUnavailable and context.Canceled", op, err)
		}
	}
	holds(t, s, "cell", first)
}
