package aztable

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

// sample returns an endpoint before any update.
func sample() webhook.Endpoint { return webhook.Endpoint{ID: "e", Organization: organization} }

func addKey(e webhook.Endpoint) (webhook.Endpoint, error) {
	e.Keys = append(e.Keys, webhook.Key{Version: fmt.Sprint(len(e.Keys))})
	return e, nil
}

// TestEndpointsOverABadNetwork loses each request of each operation in turn, before the service
// receives it and afterwards. Every operation must still return the true result.
func TestEndpointsOverABadNetwork(t *testing.T) {
	operations := map[string]struct {
		prepare, run func(t *testing.T, s endpoints) error
		want         string // the keys afterwards, or "none"
		requests     int
	}{
		"Insert": {
			func(t *testing.T, s endpoints) error { return s.store.Ensure(t.Context()) },
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) }, "[]", 1,
		},
		"Insert into no table": {
			func(*testing.T, endpoints) error { return nil },
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) }, "[]", 3,
		},
		"Insert of one that exists": {
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) },
			func(t *testing.T, s endpoints) error {
				if err := s.Insert(t.Context(), sample()); !errors.Is(err, store.ErrExists) {
					return fmt.Errorf("%w, not ErrExists", err)
				}
				return nil
			}, "[]", 2,
		},
		"Update": {
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) },
			func(t *testing.T, s endpoints) error {
				e, err := s.Update(t.Context(), organization, "e", addKey)
				if err == nil && len(e.Keys) != 1 {
					err = fmt.Errorf("it has %d keys", len(e.Keys))
				}
				return err
			}, "[{0 0001-01-01 00:00:00 +0000 UTC}]", 2,
		},
		"Remove": {
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) },
			func(t *testing.T, s endpoints) error { return s.Remove(t.Context(), organization, "e") }, "none", 1,
		},
		"List": {
			func(t *testing.T, s endpoints) error { return s.Insert(t.Context(), sample()) },
			func(t *testing.T, s endpoints) error { _, err := s.List(t.Context(), organization); return err }, "[]", 1,
		},
	}
	for name, op := range operations {
		for _, f := range []fault{unsent, unheard} {
			for lost := range op.requests {
				t.Run(fmt.Sprintf("%s, fault %d of request %d", name, f, lost), func(t *testing.T) {
					tb := newTable(t)
					s := endpoints{tb.store(http.DefaultTransport)}
					must(t, op.prepare(t, s))
					w := &wire{fault: func(n int, _ *http.Request) fault {
						if n == lost {
							return f
						}
						return none
					}}
					must(t, op.run(t, endpoints{tb.store(w)}))
					all, err := s.List(t.Context(), organization)
					must(t, err)
					got := "none"
					if len(all) == 1 {
						got = fmt.Sprint(all[0].Keys)
					}
					if got != op.want {
						t.Errorf("%s, want %s", got, op.want)
					}
				})
			}
		}
	}
}

func TestEndpointsWhenNothingAnswers(t *testing.T) {
	w := &wire{fault: func(int, *http.Request) fault { return unsent }}
	s := newTable(t).store(w).Endpoints()
	_, listed := s.List(t.Context(), organization)
	_, updated := s.Update(t.Context(), organization, "e", addKey)
	for i, err := range []error{listed, s.Insert(t.Context(), sample()), updated, s.Remove(t.Context(), organization, "e")} {
		if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret-host") {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}

func TestRowOfAnEndpointThatCannotBeRead(t *testing.T) {
	s := newTable(t).store(http.DefaultTransport)
	must(t, s.Ensure(t.Context()))
	for row, want := range map[string]string{
		`"CreateOp":"x"`: "OpIDs", `"CreateOp":"x","OpIDs":"{"`: "OpIDs", `"CreateOp":"x","OpIDs":"[\"x\"]","Keys":7`: "Keys",
	} {
		_, err := s.client.UpsertEntity(t.Context(), []byte(`{"PartitionKey":"w`+organization+`","RowKey":"e",`+row+`}`), &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace})
		must(t, err)
		_, err = s.Endpoints().List(t.Context(), organization)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", row, err)
		}
		_, err = s.Endpoints().Update(t.Context(), organization, "e", addKey)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", row, err)
		}
	}
}
