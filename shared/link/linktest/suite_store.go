package linktest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

func returnsEveryField(t *testing.T, s link.Stores) {
	insert(t, s, full())
	holds(t, s, full())
	got, err := s.Get(t.Context(), full().Slug)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]time.Time{
		"CreatedAt":    {got.CreatedAt, full().CreatedAt},
		"Change.Since": {got.Change.Since, full().Change.Since},
	} {
		if pair[0].Location() != time.UTC || pair[1].Sub(pair[0]) >= time.Microsecond {
			t.Errorf("%s is %v, inserted was %v", name, pair[0], pair[1])
		}
	}
}

func returnsOddValues(t *testing.T, s link.Stores) {
	for i, change := range []func(*link.Link){
		func(l *link.Link) { *l = link.Link{Slug: l.Slug} },
		func(l *link.Link) { l.Discard = []string{} },
		func(l *link.Link) { l.Discard = []string{"", `a,"b"`} },
		func(l *link.Link) { l.Change = &link.Change{} },
		func(l *link.Link) { l.Revision, l.Attempts = math.MaxInt64, math.MaxInt32 },
		func(l *link.Link) { l.Revision, l.Attempts = math.MinInt64, -1 },
		func(l *link.Link) { l.Revision = 1<<53 + 1 },
		func(l *link.Link) { l.Secret.ExpiresOn = date.Of(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)) },
		func(l *link.Link) { l.CreatedAt = time.Date(2000, 2, 29, 23, 59, 59, 999_999_000, time.UTC) },
		func(l *link.Link) { l.Description = `O'Brien's "quoted" \ back / slash; PartitionKey eq 's00' or true` },
		func(l *link.Link) {
			l.Description = "Klinik Überlingen ☤ 健康 診療所 \U0001F3E5 e\u0301 \u2028 \u00a0"
		},
		func(l *link.Link) { l.Description = "tab\tnew line\nreturn\r\n<b>&amp;</b> --batch_ HTTP/1.1 404" },
		func(l *link.Link) { l.Description = "2027-05-01T00:00:00Z" },
		func(l *link.Link) { l.Description = "12345678901234567890" },
		func(l *link.Link) { l.Description = " " + strings.Repeat("x", 4000) + " " },
		func(l *link.Link) { l.Description, l.Failing = "null", "true" },
	} {
		l := full()
		change(&l)
		l.Slug = link.Slug(fmt.Sprintf("link-%02d", i))
		insert(t, s, l)
		holds(t, s, l)
	}
}

func sharesNoMemory(t *testing.T, s link.Stores) {
	in := full()
	insert(t, s, in)
	in.Discard[0], in.Change.ID = "changed", "changed"
	holds(t, s, full())

	out, err := s.Get(t.Context(), in.Slug)
	if err != nil {
		t.Fatal(err)
	}
	out.Discard[0], out.Change.ID = "changed", "changed"
	holds(t, s, full())

	var seen link.Link
	written := update(t, s, in.Slug, func(l *link.Link) { seen = *l })
	seen.Discard[0], written.Change.ID = "changed", "changed"
	holds(t, s, full())
}

func knowsNoOtherSlug(t *testing.T, s link.Stores) {
	insert(t, s, slim("clinic"))
	for _, slug := range []link.Slug{
		"clinic-2", "clini", "Clinic", "", "'", "clinic' or RowKey ne '", `a/b\c`, "a#b?c", "a\x00b", "ä", "..",
		link.Slug(strings.Repeat("x", 2000)),
	} {
		absent(t, s, slug)
		_, err := s.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			t.Errorf("Update of the absent %q ran change", slug)
			return l, nil
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Update %q = %v, want ErrNotFound", slug, err)
		}
		gone, err := s.Remove(t.Context(), slug, func(link.Link) bool {
			t.Errorf("Remove of the absent %q ran still", slug)
			return true
		})
		if !gone || err != nil {
			t.Errorf("Remove %q = %v, %v, want true", slug, gone, err)
		}
	}
	holds(t, s, slim("clinic"))
}

func insertsOnce(t *testing.T, s link.Stores) {
	insert(t, s, full())
	other := slim(full().Slug)
	if err := s.Insert(t.Context(), other); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second Insert = %v, want ErrExists", err)
	}
	holds(t, s, full())
	remove(t, s, other.Slug)
	insert(t, s, other)
	holds(t, s, other)
}

func oneInsertWins(t *testing.T, s link.Stores) {
	var wg sync.WaitGroup
	var winner atomic.Pointer[link.Link]
	var wins, losses atomic.Int32
	for i := range 20 {
		wg.Go(func() {
			l := dueAt(t, "wanted", noon.Add(time.Duration(i)*time.Hour))
			l.ID = fmt.Sprint("racer-", i)
			switch err := s.Insert(t.Context(), l); {
			case err == nil:
				wins.Add(1)
				winner.Store(&l)
			case errors.Is(err, store.ErrExists):
				losses.Add(1)
			default:
				t.Errorf("Insert: %v", err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 || losses.Load() != 19 {
		t.Fatalf("%d of 20 racing inserts won and %d saw ErrExists", wins.Load(), losses.Load())
	}
	holds(t, s, *winner.Load())
	if got := due(t, s, noon.Add(100*time.Hour)); len(got) != 1 {
		t.Errorf("the index has %v, want one entry", got)
	}
}

func updates(t *testing.T, s link.Stores) {
	insert(t, s, full(), slim("other"))
	want := full()
	for range 3 {
		var seen link.Link
		written := update(t, s, want.Slug, func(l *link.Link) {
			seen = l.Stored()
			l.Description += " ☤"
			l.Revision++
			l.Change, l.Discard, l.VerifiedAt = nil, nil, time.Time{}
			l.UpdatedAt = noon.Add(100 * time.Hour)
		})
		same(t, "what change was given", seen, want)
		want.Description += " ☤"
		want.Revision++
		want.Change, want.Discard, want.VerifiedAt = nil, nil, time.Time{}
		want.UpdatedAt = noon.Add(100 * time.Hour)
		same(t, "Update", written, want)
		holds(t, s, want)
	}
	holds(t, s, slim("other"))
}

func walksPhases(t *testing.T, s link.Stores) {
	l := full()
	l.Phase = link.Reserved
	insert(t, s, l)
	for _, p := range []link.Phase{link.Live, link.Deleting, link.Tombstone, link.Reserved, link.Live} {
		l.Phase, l.PhaseSince = p, l.PhaseSince.Add(time.Hour)
		update(t, s, l.Slug, func(row *link.Link) { row.Phase, row.PhaseSince = l.Phase, l.PhaseSince })
		holds(t, s, l)
		if got := due(t, s, l.Due()); len(got) != 1 {
			t.Errorf("in phase %s the index at Due has %v, want one entry", p, got)
		}
	}
}

func updateKeepsOnError(t *testing.T, s link.Stores) {
	insert(t, s, full())
	refusal := errors.New("no")
	_, err := s.Update(t.Context(), full().Slug, func(l link.Link) (link.Link, error) {
		l.Description, l.NextVerify = "changed", l.NextVerify.Add(-100*time.Hour)
		return l, refusal
	})
	if err != refusal { // it must be the very error
		t.Errorf("Update = %v, want the error of change as it is", err)
	}
	holds(t, s, full())
	if got := due(t, s, full().Due().Add(-time.Second)); len(got) > 0 {
		t.Errorf("a failed change moved the index: %v", got)
	}
}

func updateOutlivesPanic(t *testing.T, s link.Stores) {
	insert(t, s, full())
	for _, call := range []func(){
		func() {
			_, _ = s.Update(t.Context(), full().Slug, func(link.Link) (link.Link, error) { panic("change") }) // it panics
		},
		func() {
			_, _ = s.Remove(t.Context(), full().Slug, func(link.Link) bool { panic("still") }) // it panics
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of the caller's function was swallowed")
				}
			}()
			call()
		}()
		holds(t, s, full())
	}
	update(t, s, full().Slug, func(l *link.Link) { l.Revision++ })
	insert(t, s, slim("another"))
}

func updateKeepsSlug(t *testing.T, s link.Stores) {
	insert(t, s, full())
	_, err := s.Update(t.Context(), full().Slug, func(l link.Link) (link.Link, error) {
		l.Slug = "another"
		return l, nil
	})
	if err == nil {
		t.Error("Update let change turn the link into another")
	}
	holds(t, s, full())
	absent(t, s, "another")
}

// updateRunsAgain makes the conflict from within change, so that it happens every time.
func updateRunsAgain(t *testing.T, s link.Stores) {
	insert(t, s, full())
	runs := 0
	written := update(t, s, full().Slug, func(l *link.Link) {
		if runs++; runs <= 2 {
			update(t, s, l.Slug, func(l *link.Link) {
				l.Attempts++
				l.NextVerify = l.NextVerify.Add(time.Hour)
			})
		}
		l.Revision++
	})
	want := full()
	want.Attempts += 2
	want.NextVerify = want.NextVerify.Add(2 * time.Hour)
	want.Revision++
	if runs != 3 {
		t.Errorf("change ran %d times with 2 writes in between, want 3", runs)
	}
	same(t, "Update", written, want)
	holds(t, s, want)
	if got := due(t, s, noon.Add(1000*time.Hour)); len(got) != 1 {
		t.Errorf("the index has %v, want one entry", got)
	}
}

func updateSeesRemoval(t *testing.T, s link.Stores) {
	insert(t, s, full())
	_, err := s.Update(t.Context(), full().Slug, func(l link.Link) (link.Link, error) {
		remove(t, s, l.Slug)
		return l, nil
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Update of a row that is removed meanwhile = %v, want ErrNotFound", err)
	}
	absent(t, s, full().Slug)
}

func updateSeesNewRow(t *testing.T, s link.Stores) {
	insert(t, s, full())
	again := slim(full().Slug)
	runs := 0
	update(t, s, again.Slug, func(l *link.Link) {
		if runs++; runs == 1 {
			remove(t, s, l.Slug)
			insert(t, s, again)
		}
		l.Revision++
	})
	again.Revision++
	holds(t, s, again)
	if runs != 2 {
		t.Errorf("change ran %d times, want 2", runs)
	}
}

func losesNoUpdate(t *testing.T, s link.Stores) {
	const writers, each = 6, 5
	insert(t, s, slim("counter"))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, err := s.Update(t.Context(), "counter", func(l link.Link) (link.Link, error) {
					l.Revision++
					l.NextVerify = noon.Add(time.Duration(l.Revision) * time.Hour)
					return l, nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	l, err := s.Get(t.Context(), "counter")
	if err != nil || l.Revision != writers*each {
		t.Errorf("after %d increments Revision is %d, %v", writers*each, l.Revision, err)
	}
	if got := due(t, s, noon.Add(1000*time.Hour)); len(got) != 1 {
		t.Errorf("the index has %v, want one entry", got)
	}
}

func removes(t *testing.T, s link.Stores) {
	insert(t, s, full(), slim("other"))
	gone, err := s.Remove(t.Context(), full().Slug, func(l link.Link) bool {
		same(t, "what still was given", l, full())
		return false
	})
	if gone || err != nil {
		t.Errorf("Remove of a row that still says no to = %v, %v", gone, err)
	}
	holds(t, s, full())
	remove(t, s, full().Slug)
	absent(t, s, full().Slug)
	remove(t, s, full().Slug)
	holds(t, s, slim("other"))
}

func removeJudgesLatest(t *testing.T, s link.Stores) {
	insert(t, s, full())
	gone, err := s.Remove(t.Context(), full().Slug, func(l link.Link) bool {
		if l.Phase != link.Live {
			return false
		}
		update(t, s, l.Slug, func(l *link.Link) { l.Phase = link.Deleting })
		return true
	})
	if gone || err != nil {
		t.Errorf("Remove of a row that changed meanwhile = %v, %v, want false", gone, err)
	}
	want := full()
	want.Phase = link.Deleting
	holds(t, s, want)
}

func removesAtOnce(t *testing.T, s link.Stores) {
	insert(t, s, full())
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if gone, err := s.Remove(t.Context(), full().Slug, always); !gone || err != nil {
				t.Errorf("Remove = %v, %v", gone, err)
			}
		})
	}
	wg.Wait()
	absent(t, s, full().Slug)
	if got := due(t, s, noon.Add(1000*time.Hour)); len(got) > 0 {
		t.Errorf("the index still has %v", got)
	}
}
