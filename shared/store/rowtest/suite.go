package rowtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirlink/shared/store"
)

// Run tests a driver against the contract of [store.Rows]. open returns a store without rows; Run calls
// it once for each subtest.
func Run(t *testing.T, open func(*testing.T) store.Rows) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Rows)
	}{
		{"swap", swaps},
		{"are told apart by version", comparesVersions},
		{"are removed by version", removesVersions},
		{"are apart", keepsApart},
		{"are listed in order", lists},
		{"are found and discarded by partitions", discards},
		{"one of many swaps wins", oneSwapWins},
		{"hold large values", holdsLarge},
		{"have keys that every driver can hold", checksKeys},
		{"end with the context", endsWithContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func key(name string) store.Key { return store.Key{Partition: "a-clinic", Name: name} }

// fresh is a row that is not there.
func fresh(name string) store.Row { return store.Row{Key: key(name)} }

// holds fails the test unless the row is want.
func holds(t *testing.T, s store.Rows, want store.Row) {
	t.Helper()
	if row, err := s.Row(t.Context(), want.Key); err != nil || row != want {
		t.Errorf("Row %v = %+v, %v, want %+v", want.Key, row, err, want)
	}
}

// swap fails the test unless the swap succeeds.
func swap(t *testing.T, s store.Rows, old store.Row, value string) store.Row {
	t.Helper()
	next, swapped, err := s.Swap(t.Context(), old, value)
	if err != nil || !swapped || next.Key != old.Key || next.Value != value || next.Version == "" {
		t.Fatalf("Swap %v to %.80q = %.80v, %v, %v", old.Key, value, next, swapped, err)
	}
	return next
}

// refuses fails the test unless a swap of old is refused.
func refuses(t *testing.T, s store.Rows, old store.Row, value string) {
	t.Helper()
	if next, swapped, err := s.Swap(t.Context(), old, value); err != nil || swapped {
		t.Fatalf("Swap %v to %q = %+v, %v, %v, want that nothing is written", old.Key, value, next, swapped, err)
	}
}

// removes fails the test unless Remove says that the row is gone, or not.
func removes(t *testing.T, s store.Rows, old store.Row, want bool) {
	t.Helper()
	if gone, err := s.Remove(t.Context(), old); err != nil || gone != want {
		t.Fatalf("Remove %v = %v, %v, want %v", old.Key, gone, err, want)
	}
}

func swaps(t *testing.T, s store.Rows) {
	holds(t, s, fresh("row"))
	first := swap(t, s, fresh("row"), "one")
	holds(t, s, first)
	refuses(t, s, fresh("row"), "two")
	second := swap(t, s, first, `{"two":"ä `+"\U0001F3E5"+`"}`)
	refuses(t, s, first, "three")
	holds(t, s, second)
}

func comparesVersions(t *testing.T, s store.Rows) {
	first := swap(t, s, fresh("row"), "one")
	empty := swap(t, s, first, "")
	refuses(t, s, fresh("row"), "new") // the row exists, with an empty value
	again := swap(t, s, empty, "one")
	refuses(t, s, first, "back") // the value is the same, but the row has another version
	holds(t, s, again)
}

func removesVersions(t *testing.T, s store.Rows) {
	first := swap(t, s, fresh("row"), "one")
	second := swap(t, s, first, "two")
	removes(t, s, first, false)
	holds(t, s, second)
	removes(t, s, second, true)
	removes(t, s, second, true)
	holds(t, s, fresh("row"))
	refuses(t, s, second, "back")
	if third := swap(t, s, fresh("row"), "three"); third.Version == second.Version {
		t.Error("a row made again has the version of the one before")
	}
}

func keepsApart(t *testing.T, s store.Rows) {
	first := swap(t, s, fresh("row"), "one")
	other := store.Row{Key: store.Key{Partition: "a-clinic-2", Name: "row"}}
	holds(t, s, fresh("row-2"))
	holds(t, s, other)
	other = swap(t, s, other, "other")
	swap(t, s, fresh("row-2"), "another")
	holds(t, s, first)
	removes(t, s, other, true)
	holds(t, s, first)
}

func lists(t *testing.T, s store.Rows) {
	var want []store.Row
	for _, name := range []string{"A_10", "A_2", "A_b", "A_c.x", "A_c~y"} {
		want = append(want, swap(t, s, fresh(name), "of "+name))
	}
	for _, k := range []store.Key{key("A"), key("B_1"), key("S"), {Partition: "a-clini", Name: "A_1"}, {Partition: "a-clinic-2", Name: "A_1"}} {
		swap(t, s, store.Row{Key: k}, "apart")
	}
	listed := func(prefix, after string, limit int, want []store.Row) {
		t.Helper()
		rows, err := s.List(t.Context(), "a-clinic", prefix, after, limit)
		if err != nil || fmt.Sprint(rows) != fmt.Sprint(want) {
			t.Errorf("List %q after %q, %d = %v, %v, want %v", prefix, after, limit, rows, err, want)
		}
	}
	listed("A_", "", 10, want)
	listed("A_", "", 2, want[:2])
	listed("A_", want[1].Name, 2, want[2:4])
	listed("A_", want[4].Name, 2, nil)
	listed("A_b", "", 10, want[2:3])
	listed("C", "", 10, nil)
	if all, err := s.List(t.Context(), "a-clinic", "", "", 10); err != nil || len(all) != len(want)+3 {
		t.Errorf("List of everything = %v, %v", all, err)
	}
}

func oneSwapWins(t *testing.T, s store.Rows) {
	old := fresh("row")
	for round := range 3 {
		var wg sync.WaitGroup
		var won atomic.Int32
		var next atomic.Pointer[store.Row]
		for i := range 10 {
			wg.Go(func() {
				row, swapped, err := s.Swap(t.Context(), old, fmt.Sprint(round, i))
				if err != nil {
					t.Errorf("Swap: %v", err)
				}
				if swapped {
					won.Add(1)
					next.Store(&row)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 10 racing swaps won", won.Load())
		}
		old = *next.Load()
		holds(t, s, old)
	}
}

// Characters outside ASCII are tried in shorter values: Azurite was seen to damage some where a large
// body comes in several pieces.
func holdsLarge(t *testing.T, s store.Rows) {
	row := fresh("row")
	for _, value := range []string{
		strings.Repeat("a", store.MaxValue), strings.Repeat("ä", 20_000), strings.Repeat("\U0001F3E5", 10_000), "x" + strings.Repeat("日", 15_000), "small again",
	} {
		row = swap(t, s, row, value)
		if found, err := s.Row(t.Context(), row.Key); err != nil || found != row {
			t.Errorf("%.8q…, %d bytes, comes back as %d bytes, %v", value, len(value), len(found.Value), err)
		}
	}
	if _, swapped, err := s.Swap(t.Context(), row, strings.Repeat("a", store.MaxValue+1)); err == nil || swapped || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a value that is too large: %v, %v", swapped, err)
	}
}

func checksKeys(t *testing.T, s store.Rows) {
	for _, k := range [][2]string{{"a", ""}, {"", "a"}, {"a/b", "c"}, {"a", "b c"}, {"a", "b#"}, {"a", "b?"}, {"a", "b\\"}, {"a", "ä"}, {"a", strings.Repeat("b", 201)}, {"a", "b\x00c"}} {
		k := store.Key{Partition: k[0], Name: k[1]}
		if _, swapped, err := s.Swap(t.Context(), store.Row{Key: k}, "x"); err == nil || swapped || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Swap of %q = %v, %v", k, swapped, err)
		}
		if row, err := s.Row(t.Context(), k); err != nil || row.Version != "" {
			t.Errorf("Row %q = %+v, %v", k, row, err)
		}
	}
	swap(t, s, store.Row{Key: store.Key{Partition: strings.Repeat("p", 200), Name: "A-Z.a_z~9" + strings.Repeat("n", 191)}}, "x")
}

func endsWithContext(t *testing.T, s store.Rows) {
	first := swap(t, s, fresh("row"), "one")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := s.Row(over, first.Key)
	_, _, swapErr := s.Swap(over, first, "two")
	_, removeErr := s.Remove(over, first)
	_, listErr := s.List(over, first.Partition, "", "", 10)
	for op, err := range map[string]error{"Row": readErr, "Swap": swapErr, "Remove": removeErr, "List": listErr} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s with a cancelled context = %v, want ErrUnavailable and context.Canceled", op, err)
		}
	}
	holds(t, s, first)
}

// discards: whole ranges of partitions are found, in order, and removed.
func discards(t *testing.T, s store.Rows) {
	in := func(partition, name string) store.Row {
		return swap(t, s, store.Row{Key: store.Key{Partition: partition, Name: name}}, partition+name)
	}
	b2, a1, c1, b1, d1 := in("p-b", "2"), in("p-a", "1"), in("p-c", "1"), in("p-b", "1"), in("p-d", "1")
	between := func(from, before string, limit int, want ...store.Row) {
		t.Helper()
		if rows, err := s.Between(t.Context(), from, before, limit); err != nil || !slices.Equal(rows, want) {
			t.Errorf("between %s and %s: %+v, %v, want %+v", from, before, rows, err, want)
		}
	}
	between("p-a", "p-d", 10, a1, b1, b2, c1)
	between("p-a", "p-d", 2, a1, b1)
	between("p-b", "p-b", 10)
	between("p-c", "p-z", 10, c1, d1)
	between("q", "r", 10)
	if err := s.Discard(t.Context(), nil); err != nil {
		t.Error(err)
	}
	changed := swap(t, s, b2, "changed since")
	gone := store.Key{Partition: "p-b", Name: "never"}
	if err := s.Discard(t.Context(), []store.Key{a1.Key, b1.Key, changed.Key, gone, c1.Key}); err != nil {
		t.Fatal(err)
	}
	between("p-", "q", 10, d1)
	var many []store.Key
	for i := range 250 {
		many = append(many, in("p-many", fmt.Sprintf("%03d", i)).Key)
	}
	if rows, err := s.Between(t.Context(), "p-e", "q", 1000); err != nil || len(rows) != 250 || rows[249].Name != "249" {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if err := s.Discard(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	between("p-", "q", 10, d1)
	holds(t, s, d1)
}
