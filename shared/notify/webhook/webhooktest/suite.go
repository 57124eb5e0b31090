package webhooktest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

// Run tests a driver against the contract of [webhook.Store]. newStore returns an empty store;
// Run calls it once for each subtest.
func Run(t *testing.T, newStore func(*testing.T) webhook.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, webhook.Store)
	}{
		{"returns every field", returnsEveryField},
		{"returns an empty endpoint", returnsEmpty},
		{"lists by id, one organization's", listsByID},
		{"lists none before anything is written", listsNone},
		{"shares no memory", sharesNoMemory},
		{"inserts an id once", insertsOnce},
		{"updates", updates},
		{"knows no other", knowsNoOther},
		{"keeps the row when change fails", keepsOnError},
		{"keeps organization and id", keepsIdentity},
		{"runs change again on a conflict", runsAgain},
		{"sees a removal", seesRemoval},
		{"loses no update", losesNoUpdate},
		{"removes", removes},
		{"ends with the context", endsWithContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStore(t)) })
	}
}

const (
	contoso  = "11111111-1111-4111-8111-111111111111"
	fabrikam = "33333333-3333-4333-8333-333333333333"
)

// noon is an instant with nanoseconds, in a zone that is not UTC.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.FixedZone("", -5*60*60))

// full returns an endpoint in which no field is zero, which TestFull checks.
func full() webhook.Endpoint {
	return webhook.Endpoint{
		ID: "endpoint-1", Organization: contoso, URL: "https://hooks.example/a?b='c'", Description: "Büro — “quoted” \U0001F3E5",
		SecretName: "contoso/webhook-a", Keys: []webhook.Key{{Version: "v2"}, {Version: "v1", Until: noon}},
		CreatedAt: noon.Add(time.Hour), RemovedAt: noon.Add(2 * time.Hour), DisabledAt: noon.Add(3 * time.Hour), DisabledReason: "410",
		LastDelivery: &webhook.Delivery{At: noon, Type: notify.LinkBroken, Outcome: webhook.HeardRefused, Reason: "“500”"},
	}
}

func endpoint(id string) webhook.Endpoint { return webhook.Endpoint{ID: id, Organization: contoso} }

func insert(t *testing.T, s webhook.Store, all ...webhook.Endpoint) {
	t.Helper()
	for _, e := range all {
		if err := s.Insert(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, s webhook.Store, organization string) []webhook.Endpoint {
	t.Helper()
	all, err := s.List(t.Context(), organization)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantList(t *testing.T, s webhook.Store, organization string, want ...webhook.Endpoint) {
	t.Helper()
	if got := list(t, s, organization); len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// describe returns a change of the description.
func describe(text string) func(webhook.Endpoint) (webhook.Endpoint, error) {
	return func(e webhook.Endpoint) (webhook.Endpoint, error) {
		e.Description = text
		return e, nil
	}
}

func returnsEveryField(t *testing.T, s webhook.Store) {
	insert(t, s, full())
	wantList(t, s, contoso, full().Stored())
}

func returnsEmpty(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	wantList(t, s, contoso, endpoint("e"))
}

func listsByID(t *testing.T, s webhook.Store) {
	other := webhook.Endpoint{ID: "b", Organization: fabrikam}
	insert(t, s, endpoint("c"), endpoint("a"), other, endpoint("b"))
	wantList(t, s, contoso, endpoint("a"), endpoint("b"), endpoint("c"))
	wantList(t, s, fabrikam, other)
}

func listsNone(t *testing.T, s webhook.Store) { wantList(t, s, contoso) }

func sharesNoMemory(t *testing.T, s webhook.Store) {
	e := full()
	insert(t, s, e)
	e.Keys[0].Version = "changed"
	list(t, s, contoso)[0].Keys[0].Version = "changed"
	updated, err := s.Update(t.Context(), contoso, e.ID, func(row webhook.Endpoint) (webhook.Endpoint, error) { return row, nil })
	if err != nil {
		t.Fatal(err)
	}
	updated.Keys[0].Version = "changed"
	wantList(t, s, contoso, full().Stored())
}

func insertsOnce(t *testing.T, s webhook.Store) {
	insert(t, s, full())
	again := full()
	again.Description = "another"
	if err := s.Insert(t.Context(), again); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second insert: %v", err)
	}
	wantList(t, s, contoso, full().Stored())
}

func updates(t *testing.T, s webhook.Store) {
	insert(t, s, full(), endpoint("other"))
	got, err := s.Update(t.Context(), contoso, full().ID, func(e webhook.Endpoint) (webhook.Endpoint, error) {
		return webhook.Endpoint{ID: e.ID, Organization: e.Organization, Keys: []webhook.Key{{Version: "v3", Until: noon}}}, nil
	})
	want := webhook.Endpoint{ID: full().ID, Organization: contoso, Keys: []webhook.Key{{Version: "v3", Until: noon}}}.Stored()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	wantList(t, s, contoso, want, endpoint("other"))
}

func knowsNoOther(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	for _, k := range []struct{ organization, id string }{{contoso, "other"}, {contoso, ""}, {contoso, "E"}, {fabrikam, "e"}, {"", "e"}, {contoso, "e'/#?\\"}} {
		_, err := s.Update(t.Context(), k.organization, k.id, func(webhook.Endpoint) (webhook.Endpoint, error) {
			t.Errorf("%+v: change was called", k)
			return webhook.Endpoint{}, errors.New("not there")
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%+v: %v", k, err)
		}
		if err := s.Remove(t.Context(), k.organization, k.id); err != nil {
			t.Errorf("%+v: %v", k, err)
		}
	}
	wantList(t, s, contoso, endpoint("e"))
}

func keepsOnError(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	failed := errors.New("no")
	_, err := s.Update(t.Context(), contoso, "e", func(e webhook.Endpoint) (webhook.Endpoint, error) {
		e.Description = "changed"
		return e, failed
	})
	if !errors.Is(err, failed) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	wantList(t, s, contoso, endpoint("e"))
}

func keepsIdentity(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	for _, to := range []webhook.Endpoint{endpoint("other"), {ID: "e", Organization: fabrikam}} {
		_, err := s.Update(t.Context(), contoso, "e", func(webhook.Endpoint) (webhook.Endpoint, error) { return to, nil })
		if err == nil {
			t.Errorf("turned into %+v", to)
		}
	}
	wantList(t, s, contoso, endpoint("e"))
	wantList(t, s, fabrikam)
}

func runsAgain(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	runs := 0
	got, err := s.Update(t.Context(), contoso, "e", func(e webhook.Endpoint) (webhook.Endpoint, error) {
		if runs++; runs == 1 {
			if _, err := s.Update(t.Context(), contoso, "e", describe("meanwhile")); err != nil {
				t.Error(err)
			}
		}
		e.Description += "!"
		return e, nil
	})
	if err != nil || runs != 2 || got.Description != "meanwhile!" {
		t.Errorf("%d runs, %+v, %v", runs, got, err)
	}
}

func seesRemoval(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	_, err := s.Update(t.Context(), contoso, "e", func(e webhook.Endpoint) (webhook.Endpoint, error) {
		if err := s.Remove(t.Context(), contoso, "e"); err != nil {
			t.Error(err)
		}
		return e, nil
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	wantList(t, s, contoso)
}

func losesNoUpdate(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	const writers, each = 4, 5
	var group sync.WaitGroup
	var failed atomic.Int64
	for w := range writers {
		group.Go(func() {
			for n := range each {
				_, err := s.Update(t.Context(), contoso, "e", func(e webhook.Endpoint) (webhook.Endpoint, error) {
					e.Keys = append(e.Keys, webhook.Key{Version: fmt.Sprint(w, n)})
					return e, nil
				})
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := len(list(t, s, contoso)[0].Keys); int64(n) != writers*each-failed.Load() || failed.Load() > writers {
		t.Errorf("%d keys, %d failed", n, failed.Load())
	}
}

func removes(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("a"), endpoint("b"))
	for range 2 {
		if err := s.Remove(t.Context(), contoso, "a"); err != nil {
			t.Error(err)
		}
	}
	wantList(t, s, contoso, endpoint("b"))
	insert(t, s, endpoint("a"))
}

func endsWithContext(t *testing.T, s webhook.Store) {
	insert(t, s, endpoint("e"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, listed := s.List(ctx, contoso)
	_, updated := s.Update(ctx, contoso, "e", describe("changed"))
	for i, err := range []error{listed, s.Insert(ctx, endpoint("f")), updated, s.Remove(ctx, contoso, "e")} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	wantList(t, s, contoso, endpoint("e"))
}
