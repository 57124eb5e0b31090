package bolt_test

import (
	"errors"
	"strings"
	"testing"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

func TestCorruptEndpoint(t *testing.T) {
	db := open(t)
	s := newStore(t, db).Endpoints()
	for _, data := range []string{"", "{", `{"Endpoint":{"ID":"e","Organization":"o"}}`, `{"OpID":"x","Endpoint":{"ID":"f","Organization":"o"}}`} {
		put(t, db, "webhooks", "o\x00e", data)
		if _, err := s.List(t.Context(), "o"); err == nil || !strings.Contains(err.Error(), `"e"`) {
			t.Errorf("%s: %v", data, err)
		}
		_, err := s.Update(t.Context(), "o", "e", func(e webhook.Endpoint) (webhook.Endpoint, error) { return e, nil })
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", data, err)
		}
	}
	if err := s.Insert(t.Context(), webhook.Endpoint{ID: "e\x00f", Organization: "o"}); err == nil {
		t.Error("an id with NUL is stored")
	}
}

func TestEndpointsOfAClosedFile(t *testing.T) {
	db := open(t)
	s := newStore(t, db).Endpoints()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), "o"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := s.Remove(t.Context(), "o", "e"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
