package tokens_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

// TestDeletedWhileReading: a row that was being read while the link was deleted does not come
// back into the cache, to serve on while the table is out of reach.
func TestDeletedWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		if _, err := st.token(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second) // the row is to be read again
		reading, deleted := make(chan struct{}), make(chan struct{})
		first := true
		st.links.Fault = func(op string, _ link.Slug, before bool) error {
			if op == "Get" && !before && first {
				first = false
				close(reading)
				<-deleted
			}
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = st.token(t.Context()) // may still be served: it began before
		}()
		<-reading
		if err := st.Delete(t.Context(), orgA, slug, "*"); err != nil {
			t.Fatal(err)
		}
		close(deleted)
		<-done
		st.links.Fault = func(string, link.Slug, bool) error { return store.ErrUnavailable }
		if _, err := st.token(t.Context()); err == nil {
			t.Error("a token for a deleted link")
		}
	})
}

// TestTheirsTakesTheTable: somebody else's link costs a read of the table every time, and says
// the same while the table is out of reach, just as one that does not exist.
func TestTheirsTakesTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		reads := func(slug string) int64 {
			before := st.rows.Load()
			for range 3 {
				if _, err := st.Token(t.Context(), orgB, false, slug); problem.CodeOf(err) != problem.LinkNotFound {
					t.Errorf("%s: %v", slug, err)
				}
			}
			return st.rows.Load() - before
		}
		if _, err := st.token(t.Context()); err != nil { // the row is remembered
			t.Fatal(err)
		}
		if theirs, absent := reads(slug), reads("no-such-clinic"); theirs != absent {
			t.Errorf("%d reads for theirs, %d for none", theirs, absent)
		}
		st.links.Fault = func(string, link.Slug, bool) error { return store.ErrUnavailable }
		_, theirs := st.Token(t.Context(), orgB, false, slug)
		_, absent := st.Token(t.Context(), orgB, false, "no-such-clinic")
		if problem.CodeOf(theirs) != problem.CodeOf(absent) || errors.Is(theirs, nil) {
			t.Errorf("theirs: %v, none: %v", theirs, absent)
		}
	})
}
