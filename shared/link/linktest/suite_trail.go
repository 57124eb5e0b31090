package linktest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"fhirlink/shared/link"
)

func appendEvent(t *testing.T, s link.Stores, events ...link.Event) {
	t.Helper()
	for _, e := range events {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatalf("Append %q: %v", e.ID, err)
		}
	}
}

func trailOf(t *testing.T, s link.Stores, organization string, slug link.Slug, after string, limit int) (ids []string) {
	t.Helper()
	events, err := s.Events(t.Context(), organization, slug, after, limit)
	if err != nil {
		t.Fatalf("Events: %v", err)
	}
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func trailKeeps(t *testing.T, s link.Stores) {
	if ids := trailOf(t, s, contoso, "good-health-clinic", "", 10); len(ids) > 0 {
		t.Errorf("an empty trail has %v", ids)
	}
	slim := link.Event{ID: "2", Organization: contoso, Slug: "good-health-clinic"}
	appendEvent(t, s, event("1"), slim)
	got, err := s.Events(t.Context(), contoso, "good-health-clinic", "", 10)
	if want := []link.Event{event("1").Stored(), slim.Stored()}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Events =\n%+v, %v, want\n%+v", got, err, want)
	}
}

func trailKeepsFirst(t *testing.T, s link.Stores) {
	appendEvent(t, s, event("1"))
	again := event("1")
	again.Outcome = "changed"
	appendEvent(t, s, again, again)
	got, err := s.Events(t.Context(), contoso, "good-health-clinic", "", 10)
	if err != nil || !reflect.DeepEqual(got, []link.Event{event("1").Stored()}) {
		t.Errorf("after appending the ID again the trail is %+v, %v", got, err)
	}
}

func trailPages(t *testing.T, s link.Stores) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("%019d-%s", i*7, "xyz"))
	}
	for _, i := range []int{24, 3, 11} { // in no order
		appendEvent(t, s, event(all[i]))
	}
	for _, id := range all {
		appendEvent(t, s, event(id))
	}
	for _, limit := range []int{0, 1, 10, 24, 25, 26} {
		if got := trailOf(t, s, contoso, "good-health-clinic", "", limit); !slices.Equal(got, all[:min(limit, 25)]) {
			t.Errorf("the first %d are %v", limit, got)
		}
	}
	for i, after := range all {
		if got := trailOf(t, s, contoso, "good-health-clinic", after, 4); !slices.Equal(got, all[i+1:min(i+5, 25)]) {
			t.Errorf("the 4 after %q are %v", after, got)
		}
	}
	for _, after := range []string{"zzz", "'", "a' or PartitionKey ne '"} {
		got := trailOf(t, s, contoso, "good-health-clinic", after, 4)
		if after != "'" && len(got) > 0 {
			t.Errorf("after %q are %v", after, got)
		}
	}
}

func trailKeepsApart(t *testing.T, s link.Stores) {
	insert(t, s, slim("clinic"))
	for i, about := range []struct {
		organization string
		slug         link.Slug
	}{{contoso, "clinic"}, {fabrikam, "clinic"}, {contoso, "clinic-2"}, {contoso, "clini"}} {
		e := event(fmt.Sprint(i))
		e.Organization, e.Slug = about.organization, about.slug
		appendEvent(t, s, e)
		if got := trailOf(t, s, about.organization, about.slug, "", 10); !slices.Equal(got, []string{e.ID}) {
			t.Errorf("%s of %s has %v, want %s", about.slug, about.organization, got, e.ID)
		}
	}
	remove(t, s, "clinic")
	if got := trailOf(t, s, contoso, "clinic", "", 10); len(got) != 1 {
		t.Errorf("without its row the trail has %v", got)
	}
	enrolled(t, s, contoso)
}

func cellsSwap(t *testing.T, s link.Stores) {
	read := func(name string) link.Cell {
		t.Helper()
		c, err := s.Cell(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	swap := func(name string, old link.Cell, value string, want bool) link.Cell {
		t.Helper()
		next, swapped, err := s.Swap(t.Context(), name, old, value)
		if err != nil || swapped != want || swapped && next.Value != value {
			t.Fatalf("Swap %s to %q = %+v, %v, %v, want %v", name, value, next, swapped, err, want)
		}
		return next
	}
	if c := read("cell"); c != (link.Cell{}) {
		t.Errorf("an absent cell is %+v", c)
	}
	first := swap("cell", link.Cell{}, "one", true)
	if c := read("cell"); c != first {
		t.Errorf("Cell = %+v, Swap said %+v", c, first)
	}
	swap("cell", link.Cell{}, "two", false)
	second := swap("cell", first, `{"two":"ä \U0001F3E5"}`, true)
	swap("cell", first, "three", false)
	if c := read("cell"); c != second {
		t.Errorf("Cell = %+v, want %+v", c, second)
	}
	empty := swap("cell", second, "", true)
	swap("cell", link.Cell{}, "new", false) // it is there, if empty
	swap("cell", empty, "one", true)
	swap("cell", first, "back", false) // the value is the same, the cell is not
	if c := read("cell-2"); c != (link.Cell{}) {
		t.Errorf("another cell is %+v", c)
	}
	swap("cell-2", link.Cell{}, "other", true)
}

func oneSwapWins(t *testing.T, s link.Stores) {
	var old link.Cell
	for round := range 3 {
		var wg sync.WaitGroup
		var won atomic.Int32
		var next atomic.Pointer[link.Cell]
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
		if old, _ = s.Cell(t.Context(), "cell"); old != *next.Load() {
			t.Errorf("the cell is %+v, the winner wrote %+v", old, *next.Load())
		}
	}
}
