package trail_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

const organization = "11111111-1111-4111-8111-111111111111"

var start = time.Date(2028, 1, 10, 12, 0, 0, 0, time.UTC)

// stage is a trimmer over stores in memory that counts their operations.
type stage struct {
	*linktest.Stores
	now time.Time
	ops map[string]int
}

func newStage() *stage {
	st := &stage{Stores: linktest.New(), now: start, ops: map[string]int{}}
	st.Fault = func(op string, _ link.Slug, before bool) error {
		if before {
			st.ops[op]++
		}
		return nil
	}
	return st
}

func (st *stage) add(t *testing.T, slug string, ages ...int) {
	t.Helper()
	for i, days := range ages {
		at := st.now.AddDate(0, 0, -days)
		if err := st.Append(t.Context(), trail.Event{ID: trail.ID(at, fmt.Sprint(i)), At: at, Organization: organization, Slug: slug}); err != nil {
			t.Fatal(err)
		}
	}
}

func (st *stage) trim(t *testing.T, days int) int {
	t.Helper()
	removed, err := trail.Trimmer{Store: st, Cells: st, Days: days, Now: func() time.Time { return st.now }}.Trim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

func (st *stage) left(t *testing.T, slug string) int {
	t.Helper()
	events, err := st.Events(t.Context(), organization, slug, "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

// TestTrim: events end after the days that are set, 400 unless set, once a day.
func TestTrim(t *testing.T) {
	st := newStage()
	st.add(t, "clinic", 0, 30, 31, 399, 401, 2000)
	if n := st.trim(t, 0); n != 2 || st.left(t, "clinic") != 4 {
		t.Errorf("removed %d, left %d", n, st.left(t, "clinic"))
	}
	if n := st.trim(t, 30); n != 0 {
		t.Errorf("the second round of a day removed %d", n)
	}
	st.now = st.now.AddDate(0, 0, 1)
	if n := st.trim(t, 30); n != 3 || st.left(t, "clinic") != 1 {
		t.Errorf("removed %d, left %d", n, st.left(t, "clinic"))
	}
}

// TestTrimIsBounded: a run does a part. A round goes on in the next runs, over midnight too, and
// after it a run costs one read.
func TestTrimIsBounded(t *testing.T) {
	st := newStage()
	for i := range 200 {
		st.add(t, fmt.Sprintf("clinic-%03d", i), 1, 500)
	}
	st.now = st.now.Add(11*time.Hour + 58*time.Minute)
	var removed []int
	for range 6 {
		removed = append(removed, st.trim(t, 400))
		st.now = st.now.Add(time.Minute)
	}
	if want := "[64 64 64 8 0 0]"; fmt.Sprint(removed) != want {
		t.Errorf("runs removed %v, want %s", removed, want)
	}
	for range 2 { // the rest of the round that began after midnight
		st.trim(t, 400)
	}
	clear(st.ops)
	st.trim(t, 400)
	if fmt.Sprint(st.ops) != "map[Cell:1]" {
		t.Errorf("a run with nothing to do: %v", st.ops)
	}
	long := newStage()
	ages := make([]int, 4500)
	for i := range ages {
		ages[i] = 500
	}
	long.add(t, "clinic", ages...)
	if got := fmt.Sprint(long.trim(t, 400), long.trim(t, 400), long.trim(t, 400), long.trim(t, 400)); got != "2000 2000 500 0" {
		t.Errorf("a long trail: runs removed %s", got)
	}
}

// TestTrimThroughFaults: whichever operation fails, before or after it took place, later runs
// remove everything, and nothing that is young.
func TestTrimThroughFaults(t *testing.T) {
	for _, before := range []bool{true, false} {
		for nth := range 8 {
			st := newStage()
			for i := range 100 {
				st.add(t, fmt.Sprintf("clinic-%03d", i), 1, 500)
			}
			n := 0
			st.Fault = func(_ string, _ link.Slug, at bool) error {
				if at != before {
					return nil
				}
				if n++; n == nth+1 {
					return fmt.Errorf("%w: planted", store.ErrUnavailable)
				}
				return nil
			}
			failed := 0
			for range 5 {
				_, err := trail.Trimmer{Store: st, Cells: st, Now: func() time.Time { return st.now }}.Trim(context.Background())
				if err != nil {
					failed++
					if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "planted") {
						t.Error(err)
					}
				}
			}
			st.Fault = nil
			for i := range 100 {
				if left := st.left(t, fmt.Sprintf("clinic-%03d", i)); left != 1 {
					t.Fatalf("operation %d (before: %v): %d events of link %d are left", nth, before, left, i)
				}
			}
			if nth < 6 && failed != 1 {
				t.Errorf("operation %d (before: %v): %d runs failed", nth, before, failed)
			}
		}
	}
}

// TestTrimOddCell: an unreadable cell begins a round.
func TestTrimOddCell(t *testing.T) {
	st := newStage()
	st.add(t, "clinic", 500)
	if _, _, err := st.Swap(t.Context(), "trail", store.Cell{}, "<html>"); err != nil {
		t.Fatal(err)
	}
	if n := st.trim(t, 0); n != 1 {
		t.Errorf("removed %d", n)
	}
}
