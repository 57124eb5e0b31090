package sandbox

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/notify"
)

func newSink(t *testing.T, file string) *Sink {
	t.Helper()
	s, err := NewSink(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notifications")
	s := newSink(t, file)
	post := func(method, id, body string) int {
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.Header.Set("Webhook-Id", id)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	const event = `{"specversion":"1.0","type":"fhirlink.secret.expiring","time":"2026-11-24T00:00:00Z","subject":"clinic","data":{"message":"It ends.","fix":"Renew it."}}`
	for range 2 {
		if got := post("POST", "msg_1", event); got != http.StatusNoContent {
			t.Errorf("status %d", got)
		}
	}
	if post("POST", "msg_2", "<html>") != http.StatusBadRequest || post("GET", "msg_3", event) != http.StatusBadRequest {
		t.Error("took what is no event")
	}
	digest := notify.Digest{Contacts: []string{"it@clinic.example"}, Events: []notify.Event{{ID: "msg_1", Type: notify.SecretExpiring, Time: time.Unix(0, 0), Slug: "clinic", Message: "It ends."}}}
	if r := s.Digest(t.Context(), digest); r.Outcome != notify.Delivered {
		t.Errorf("%+v", r)
	}
	held := s.Held()
	if len(held) != 2 || held[0].Received != 2 || held[0].Type != notify.SecretExpiring || held[0].Slug != "clinic" || held[0].Fix != "Renew it." ||
		held[1].Via != "mail" || len(held[1].To) != 1 {
		t.Errorf("%+v", held)
	}
	if again := newSink(t, file).Held(); !reflect.DeepEqual(again, held) {
		t.Errorf("opened again it holds %+v", again)
	}
	w := httptest.NewRecorder()
	s.Show(w, nil)
	if !strings.Contains(w.Body.String(), `"id": "msg_1"`) {
		t.Error(w.Body)
	}
}

func TestSinkOfAnOddFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notifications")
	if err := os.WriteFile(file, []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSink(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want an error that names the file", err)
	}
}

// TestSinkOfATornFile: a process that was killed while it wrote does not stop the next start, and
// what that one writes can be read again.
func TestSinkOfATornFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notifications")
	const first = `{"via":"webhook","id":"msg_1"}` + "\n"
	for cut := range len(first) - 1 {
		if err := os.WriteFile(file, []byte(first+first[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := NewSink(file, slog.New(slog.DiscardHandler))
		if err != nil || len(s.Held()) != 1 {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		s.add(Notification{Via: "webhook", ID: "msg_2"})
		if s, err = NewSink(file, slog.New(slog.DiscardHandler)); err != nil || len(s.Held()) != 2 {
			t.Errorf("cut at %d, then written: %v", cut, err)
		}
	}
}
