package handle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

// fill puts rows of each kind, with an end every so often up to a time.
func fill(t *testing.T, rows *rowtest.Rows, end time.Time, n int) {
	t.Helper()
	put := func(k store.Key, value string) {
		if _, swapped, err := rows.Swap(t.Context(), store.Row{Key: k}, value); err != nil || !swapped {
			t.Fatal(swapped, err)
		}
	}
	for range n {
		k, _ := New(end).key(Code)
		put(k, "{}")
		g := newGrant(end)
		put(g.Key(), `{"Slug":"clinic"}`)
		put(g.Index("clinic", "oid"), "x")
	}
}

// TestTrim: what has ended goes, what has not stays.
func TestTrim(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 5, 0, 0, time.UTC)
	rows := rowtest.New()
	trimmer := Trimmer{Rows: rows, Now: func() time.Time { return now }}
	if n, err := trimmer.Trim(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	put := func(k store.Key, value string) {
		if _, swapped, err := rows.Swap(t.Context(), store.Row{Key: k}, value); err != nil || !swapped {
			t.Fatal(swapped, err)
		}
	}
	put(store.Key{Partition: "aclinic", Name: "S"}, "{}") // settings stay
	fill(t, rows, now.Add(time.Minute), 3)                // and what has not ended
	fill(t, rows, now.Add(48*time.Hour), 3)
	stay := rows.Len()
	fill(t, rows, now.Add(-time.Hour), 2) // its grants end today: they stay till tomorrow
	if n, err := trimmer.Trim(t.Context()); n != 2 || err != nil || rows.Len() != stay+4 {
		t.Errorf("%d, %v; %d rows are left", n, err, rows.Len())
	}
	fill(t, rows, now.Add(-72*time.Hour), 2)
	put(newGrant(now.Add(-72*time.Hour)).Key(), "damaged")
	if n, err := trimmer.Trim(t.Context()); n != 7 || err != nil || rows.Len() != stay+4 {
		t.Errorf("%d, %v; %d rows are left", n, err, rows.Len())
	}
	now = now.Add(72 * time.Hour)
	if n, err := trimmer.Trim(t.Context()); err != nil || rows.Len() != 1 || n != stay+3 {
		t.Errorf("%d, %v; %d rows are left", n, err, rows.Len())
	}
}

// TestTrimCost: for each day, n rows that have ended cost at most n/50 requests, two for each of the 16 shards,
// and one for the link's list. A table removes rows of one partition at a time, and here each day has 16 of
// codes and 16 of grants.
func TestTrimCost(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 5, 0, 0, time.UTC)
	for _, days := range []int{1, 2, 5} {
		for _, each := range []int{0, 10, 1000} {
			rows := rowtest.New()
			for day := range days {
				fill(t, rows, now.Add(-time.Duration(day+2)*24*time.Hour), each)
			}
			n, requests := rows.Len(), 0
			rows.Fault = func(_ string, _ store.Key, before bool) error {
				if before {
					requests++
				}
				return nil
			}
			if removed, err := (Trimmer{Rows: rows, Now: func() time.Time { return now }}).Trim(t.Context()); err != nil || removed != n || rows.Len() != 0 {
				t.Fatalf("%d of %d, %v", removed, n, err)
			}
			if most := n/50 + days*(2*16+1); requests > most {
				t.Errorf("%d rows of %d days: %d requests, at most %d", n, days, requests, most)
			}
			t.Logf("%d rows of %d days: %d requests", n, days, requests)
		}
	}
}

// TestTrimFails: what a failure leaves is removed next time, the lists of grants before the grants.
func TestTrimFails(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 5, 0, 0, time.UTC)
	for point := 0; ; point++ {
		rows := rowtest.New()
		fill(t, rows, now.Add(-72*time.Hour), 20)
		left, reached := point, false
		rows.Fault = func(string, store.Key, bool) error {
			if left--; left < 0 && !reached {
				reached = true
				return fmt.Errorf("%w: canary", store.ErrUnavailable)
			}
			return nil
		}
		trimmer := Trimmer{Rows: rows, Now: func() time.Time { return now }}
		if _, err := trimmer.Trim(t.Context()); reached != errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("failed at %d: %v", point, err)
		}
		if !reached {
			break
		}
		indexed, grants := 0, 0
		for _, row := range rows.All() {
			switch {
			case strings.HasPrefix(row.Partition, "u"):
				indexed++
			case strings.HasPrefix(row.Partition, "g"):
				grants++
			}
		}
		if indexed > 0 && grants < 20 {
			t.Errorf("failed at %d: %d stand in a list and %d grants are left", point, indexed, grants)
		}
		if _, err := trimmer.Trim(t.Context()); err != nil || rows.Len() != 0 {
			t.Errorf("failed at %d, and again: %v, %d rows are left", point, err, rows.Len())
		}
	}
}
