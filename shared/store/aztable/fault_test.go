package aztable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// operation is one call of a store. The tests lose each of its requests in turn.
type operation struct {
	name    string
	prepare func(t *testing.T, s *Store)
	run     func(t *testing.T, s *Store) error
	// done fails the test unless the operation took place exactly once.
	done func(t *testing.T, s *Store)
	// requests is the number of requests when none is lost.
	requests int
}

var operations = []operation{
	{
		"Insert", func(t *testing.T, s *Store) { must(t, s.Ensure(t.Context())) },
		func(t *testing.T, s *Store) error { return s.Insert(t.Context(), clinic()) },
		func(t *testing.T, s *Store) { revision(t, s, 0) }, 1,
	},
	{
		"Insert into no table", func(*testing.T, *Store) {},
		func(t *testing.T, s *Store) error { return s.Insert(t.Context(), clinic()) },
		func(t *testing.T, s *Store) { revision(t, s, 0) }, 3,
	},
	{
		"Insert of one that exists", insertClinic,
		func(t *testing.T, s *Store) error {
			if err := s.Insert(t.Context(), clinic()); !errors.Is(err, store.ErrExists) {
				return fmt.Errorf("Insert = %w, want ErrExists", err)
			}
			return nil
		},
		func(t *testing.T, s *Store) { revision(t, s, 0) }, 2,
	},
	{
		"Update", insertClinic,
		func(t *testing.T, s *Store) error {
			l, err := s.Update(t.Context(), "clinic", raise)
			if err == nil && l.Revision != 1 {
				t.Errorf("Update returns revision %d, want 1", l.Revision)
			}
			return err
		},
		func(t *testing.T, s *Store) { revision(t, s, 1) }, 2,
	},
	{
		"Remove", insertClinic,
		func(t *testing.T, s *Store) error {
			gone, err := s.Remove(t.Context(), "clinic", func(link.Link) bool { return true })
			if gone != (err == nil) {
				t.Errorf("Remove = %v, %v", gone, err)
			}
			return err
		},
		func(t *testing.T, s *Store) {
			if l, err := s.Get(t.Context(), "clinic"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("after Remove Get = %+v, %v", l, err)
			}
		}, 2,
	},
	{
		"Get", insertClinic,
		func(t *testing.T, s *Store) error { _, err := s.Get(t.Context(), "clinic"); return err },
		func(t *testing.T, s *Store) { revision(t, s, 0) }, 1,
	},
	{
		"Enroll", func(*testing.T, *Store) {},
		func(t *testing.T, s *Store) error {
			_, err := s.Enroll(t.Context(), organization, "clinic")
			return err
		},
		func(t *testing.T, s *Store) { listed(t, s, "clinic") }, 3,
	},
	{
		"Withdraw", enrollClinic,
		func(t *testing.T, s *Store) error {
			receipt, err := s.Receipt(t.Context(), organization, "clinic")
			if err != nil {
				return err
			}
			return s.Withdraw(t.Context(), organization, "clinic", receipt)
		},
		func(t *testing.T, s *Store) { listed(t, s) }, 3,
	},
	{
		"Slugs", enrollClinic,
		func(t *testing.T, s *Store) error {
			slugs, err := s.Slugs(t.Context(), organization, "", 10)
			if err == nil && !reflect.DeepEqual(slugs, []link.Slug{"clinic"}) {
				t.Errorf("Slugs = %v", slugs)
			}
			return err
		},
		func(t *testing.T, s *Store) { listed(t, s, "clinic") }, 1,
	},
	{
		"Append", func(*testing.T, *Store) {},
		func(t *testing.T, s *Store) error { return s.Append(t.Context(), registered()) },
		func(t *testing.T, s *Store) { trailed(t, s) }, 3,
	},
	{
		"Events", func(t *testing.T, s *Store) { must(t, s.Append(t.Context(), registered())) },
		func(t *testing.T, s *Store) error {
			events, err := s.Events(t.Context(), organization, "clinic", "", 10)
			if err == nil && !reflect.DeepEqual(events, []trail.Event{registered()}) {
				t.Errorf("Events = %+v", events)
			}
			return err
		},
		func(t *testing.T, s *Store) { trailed(t, s) }, 1,
	},
	{
		"Expire", func(t *testing.T, s *Store) {
			must(t, errors.Join(s.Append(t.Context(), old()), s.Append(t.Context(), registered())))
		},
		func(t *testing.T, s *Store) error {
			p, err := s.Expire(t.Context(), noon, "", trail.Bounds{Trails: 9, Events: 9})
			if err == nil && !p.Done {
				t.Errorf("Expire = %+v", p)
			}
			return err
		},
		func(t *testing.T, s *Store) { trailed(t, s) }, 4,
	},
	{
		"PutReport", func(*testing.T, *Store) {},
		func(t *testing.T, s *Store) error { return s.PutReport(t.Context(), "clinic", lastReport) },
		func(t *testing.T, s *Store) { reported(t, s, nil) }, 3,
	},
	{
		"LastReport", putReport,
		func(t *testing.T, s *Store) error {
			r, err := s.LastReport(t.Context(), "clinic")
			if err == nil && !reflect.DeepEqual(r, lastReport) {
				t.Errorf("LastReport = %+v", r)
			}
			return err
		},
		func(t *testing.T, s *Store) { reported(t, s, nil) }, 1,
	},
	{
		"RemoveReport", putReport,
		func(t *testing.T, s *Store) error { return s.RemoveReport(t.Context(), "clinic") },
		func(t *testing.T, s *Store) { reported(t, s, store.ErrNotFound) }, 1,
	},
	{
		"Swap of no cell", func(t *testing.T, s *Store) { must(t, s.Ensure(t.Context())) },
		func(t *testing.T, s *Store) error { return swap(t, s, "") },
		func(t *testing.T, s *Store) { cellHolds(t, s, "next") }, 1,
	},
	{
		"Swap", func(t *testing.T, s *Store) {
			_, _, err := s.Swap(t.Context(), "cell", store.Cell{}, "first")
			must(t, err)
		},
		func(t *testing.T, s *Store) error { return swap(t, s, "first") },
		func(t *testing.T, s *Store) { cellHolds(t, s, "next") }, 2,
	},
}

func registered() trail.Event {
	return trail.Event{ID: "0001", At: noon, Organization: organization, Slug: "clinic", LinkID: "id", Action: trail.Registered, Outcome: "ok"}
}

// old returns an event from before noon of the same trail.
func old() trail.Event {
	e := registered()
	e.ID = trail.ID(noon.Add(-time.Hour), "old")
	return e
}

var lastReport = lastreport.Report{LinkID: "id", At: noon, By: lastreport.Service, Report: verification.Report{Status: verification.Pass}}

func putReport(t *testing.T, s *Store) { must(t, s.PutReport(t.Context(), "clinic", lastReport)) }

func reported(t *testing.T, s *Store, want error) {
	t.Helper()
	if _, err := s.LastReport(t.Context(), "clinic"); !errors.Is(err, want) {
		t.Errorf("LastReport: %v, want %v", err, want)
	}
}

func trailed(t *testing.T, s *Store) {
	t.Helper()
	if events, err := s.Events(t.Context(), organization, "clinic", "", 10); err != nil || len(events) != 1 {
		t.Errorf("the trail has %+v, %v", events, err)
	}
}

// swap reads a cell with the given value ("": there is no cell) and writes "next" to it. The swap
// must be reported, and return a usable cell.
func swap(t *testing.T, s *Store, value string) error {
	t.Helper()
	var old store.Cell
	if value != "" {
		var err error
		if old, err = s.Cell(t.Context(), "cell"); err != nil {
			return err
		}
	}
	next, swapped, err := s.Swap(t.Context(), "cell", old, "next")
	if err != nil {
		return err
	}
	if !swapped || next.Value != "next" || next.Version == "" {
		t.Errorf("Swap = %+v, %v", next, swapped)
	}
	return nil
}

func cellHolds(t *testing.T, s *Store, want string) {
	t.Helper()
	if c, err := s.Cell(t.Context(), "cell"); err != nil || c.Value != want {
		t.Errorf("the cell is %+v, %v, want %q", c, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func insertClinic(t *testing.T, s *Store) { must(t, s.Insert(t.Context(), clinic())) }

func enrollClinic(t *testing.T, s *Store) {
	_, err := s.Enroll(t.Context(), organization, "clinic")
	must(t, err)
}

// raise also moves the link's entry in the index.
func raise(l link.Link) (link.Link, error) {
	l.Revision++
	l.NextVerify = l.NextVerify.Add(time.Hour)
	return l, nil
}

func revision(t *testing.T, s *Store, want int64) {
	t.Helper()
	l, err := s.Get(t.Context(), "clinic")
	if err != nil || l.Revision != want || !l.NextVerify.Equal(noon.Add(time.Duration(want)*time.Hour)) {
		t.Errorf("the link is at revision %d and due at %v, %v, want revision %d", l.Revision, l.NextVerify, err, want)
	}
}

func listed(t *testing.T, s *Store, want ...link.Slug) {
	t.Helper()
	if slugs, err := s.Slugs(t.Context(), organization, "", 10); err != nil || len(slugs) != len(want) {
		t.Errorf("the roster has %v, %v, want %v", slugs, err, want)
	}
}

func TestRequests(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			tb, w := newTable(t), &wire{}
			op.prepare(t, tb.store(http.DefaultTransport))
			must(t, op.run(t, tb.store(w)))
			if len(w.requests) != op.requests {
				t.Errorf("it made the requests %v, want %d", w.requests, op.requests)
			}
			op.done(t, tb.store(http.DefaultTransport))
			tb.consistent(t)
		})
	}
}

// TestLostOnce loses each request or its answer once. The SDK retries, so the operation must
// succeed and take place once.
func TestLostOnce(t *testing.T) {
	for _, op := range operations {
		for _, f := range []fault{unsent, unheard} {
			for lost := range op.requests {
				t.Run(fmt.Sprint(op.name, " ", lost, " ", f), func(t *testing.T) {
					tb := newTable(t)
					op.prepare(t, tb.store(http.DefaultTransport))
					w := &wire{fault: func(n int, _ *http.Request) fault {
						if n == lost {
							return f
						}
						return none
					}}
					if err := op.run(t, tb.store(w)); err != nil {
						t.Errorf("%s: %v", op.name, err)
					}
					op.done(t, tb.store(http.DefaultTransport))
					tb.consistent(t)
				})
			}
		}
	}
}

// TestLostForGood loses everything from one request on. The operation must fail, unless the
// earlier answers were enough for it. Links and index must agree in any case.
func TestLostForGood(t *testing.T) {
	for _, op := range operations {
		for _, f := range []fault{unsent, unheard} {
			for lost := range op.requests {
				t.Run(fmt.Sprint(op.name, " ", lost, " ", f), func(t *testing.T) {
					tb := newTable(t)
					op.prepare(t, tb.store(http.DefaultTransport))
					w := &wire{fault: func(n int, _ *http.Request) fault {
						if n >= lost {
							return f
						}
						return none
					}}
					if err := op.run(t, tb.store(w)); !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("%s = %v, want ErrUnavailable", op.name, err)
					}
					tb.consistent(t)
				})
			}
		}
	}
}

// TestLostWhileOthersWrite loses the answer of a write, and concurrent writes happen before the
// retry. Every change must count once.
func TestLostWhileOthersWrite(t *testing.T) {
	for _, others := range []int{1, 2, rememberedOps - 1} {
		t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
			tb := newTable(t)
			clean := tb.store(http.DefaultTransport)
			insertClinic(t, clean)
			var lost atomic.Bool
			w := &wire{fault: func(n int, r *http.Request) fault {
				switch {
				case r.Method == http.MethodPost && lost.CompareAndSwap(false, true):
					return unheard
				case r.Method == http.MethodPost && n == 2: // the SDK's second try
					for range others {
						_, err := clean.Update(t.Context(), "clinic", raise)
						must(t, err)
					}
				}
				return none
			}}
			_, err := tb.store(w).Update(t.Context(), "clinic", raise)
			must(t, err)
			revision(t, clean, int64(others)+1)
			tb.consistent(t)
		})
	}
}

// TestLostInsertThenUpdated: a concurrent change of the row happens before the insert learns of
// its success.
func TestLostInsertThenUpdated(t *testing.T) {
	tb := newTable(t)
	clean := tb.store(http.DefaultTransport)
	must(t, clean.Ensure(t.Context()))
	w := &wire{fault: func(n int, _ *http.Request) fault {
		switch n {
		case 0:
			return unheard
		case 1:
			for range 2 * rememberedOps {
				_, err := clean.Update(t.Context(), "clinic", raise)
				must(t, err)
			}
		}
		return none
	}}
	if err := tb.store(w).Insert(t.Context(), clinic()); err != nil {
		t.Errorf("Insert = %v", err)
	}
	revision(t, clean, 2*rememberedOps)
}

// TestLostRemoveThenInserted: the slug has a new row before the removal learns of its success.
func TestLostRemoveThenInserted(t *testing.T) {
	tb := newTable(t)
	clean := tb.store(http.DefaultTransport)
	insertClinic(t, clean)
	w := &wire{fault: func(n int, _ *http.Request) fault {
		switch n {
		case 1:
			return unheard
		case 2:
			insertClinic(t, clean)
		}
		return none
	}}
	judged := 0
	gone, err := tb.store(w).Remove(t.Context(), "clinic", func(link.Link) bool { judged++; return true })
	if !gone || err != nil || judged != 1 {
		t.Errorf("Remove = %v, %v after %d judgements, want true after 1", gone, err, judged)
	}
	revision(t, clean, 0)
	tb.consistent(t)
}

// TestMissingEntry: if a link's entry in the schedule was deleted by hand, the link can still be
// changed, and then has an entry again.
func TestMissingEntry(t *testing.T) {
	for name, change := range map[string]func(link.Link) (link.Link, error){
		"due stays": func(l link.Link) (link.Link, error) { l.Revision++; return l, nil },
		"due moves": raise,
	} {
		t.Run(name, func(t *testing.T) {
			tb := newTable(t)
			s := tb.store(http.DefaultTransport)
			insertClinic(t, s)
			vandalize := func() {
				for key := range tb.contents(t).index {
					_, err := s.client.DeleteEntity(t.Context(), partitionOf("clinic"), key, nil)
					must(t, err)
				}
			}
			vandalize()
			if l, err := s.Update(t.Context(), "clinic", change); err != nil || l.Revision != 1 {
				t.Errorf("Update = %+v, %v", l, err)
			}
			tb.consistent(t)
			if n := len(tb.contents(t).index); n != 1 {
				t.Errorf("the index has %d entries, want 1", n)
			}
			vandalize()
			if gone, err := s.Remove(t.Context(), "clinic", func(link.Link) bool { return true }); !gone || err != nil {
				t.Errorf("Remove = %v, %v", gone, err)
			}
			if c := tb.contents(t); len(c.links) > 0 || len(c.index) > 0 {
				t.Errorf("Remove left %v", c)
			}
		})
	}
}

// TestCrashes stops many writers at random instants; links and index must agree.
func TestCrashes(t *testing.T) {
	tb := newTable(t)
	must(t, tb.store(http.DefaultTransport).Ensure(t.Context()))
	var crashes atomic.Int32
	var wg sync.WaitGroup
	for worker := range 6 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 60 {
				s := tb.store(&wire{fault: dying(random, &crashes)})
				slug := link.Slug(fmt.Sprintf("link-%02d", random.IntN(20)))
				at := noon.Add(time.Duration(random.IntN(1000)) * time.Hour)
				var err error
				switch random.IntN(5) {
				case 0:
					_, err = s.Remove(t.Context(), slug, func(link.Link) bool { return true })
				case 1:
					err = s.Insert(t.Context(), link.Link{Slug: slug, Phase: link.Live, Condition: condition.Condition{NextVerify: at}})
				default:
					_, err = s.Update(t.Context(), slug, func(l link.Link) (link.Link, error) { l.NextVerify = at; return l, nil })
				}
				if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d crashes, %d links", crashes.Load(), len(tb.contents(t).links))
	if crashes.Load() == 0 {
		t.Error("nothing crashed")
	}
	tb.consistent(t)
}

// dying now and then loses a request or its answer, and then loses all the requests that follow.
func dying(random *rand.Rand, crashes *atomic.Int32) func(int, *http.Request) fault {
	dead := false
	return func(int, *http.Request) fault {
		if dead {
			return unsent
		}
		f := none
		switch x := random.Float64(); {
		case x < 0.1:
			f = unsent
		case x < 0.2:
			f = unheard
		}
		if f != none {
			dead = true
			crashes.Add(1)
		}
		return f
	}
}
