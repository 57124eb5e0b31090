package httpx_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

func TestWantsEvents(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, "application/x-ndjson": true, "Application/X-NDJSON;q=0.5": true,
		"text/html, application/x-ndjson": true, "application/x-ndjson;q=0": false, "application/x-ndjson; q=0.000": false, "application/x-ndjson-x": false, ";;,": false,
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Accept", accept)
		if got := httpx.WantsEvents(r); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

// broken is a client that has gone.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestStream(t *testing.T) {
	answer := func(s http.ResponseWriter) {
		s.Header().Set("Location", "/x")
		s.Header().Set("Content-Type", "application/json")
		s.WriteHeader(http.StatusCreated)
		_, _ = s.Write([]byte(`{"a":"<&>"}` + "\n")) // to memory
	}
	for _, c := range []struct {
		name  string
		serve func(*httpx.EventStream)
		want  string
	}{
		{"no event", func(s *httpx.EventStream) { answer(s) }, `{"a":"<&>"}` + "\n"},
		{"events", func(s *httpx.EventStream) {
			s.Send(map[string]string{"event": "start"})
			s.Send(map[string]string{"event": "<b>"})
			answer(s)
		}, `{"event":"start"}` + "\n" + `{"event":"<b>"}` + "\n" + `{"event":"end","status":201,"headers":{"Location":"/x","X-Correlation-Id":"c"},"body":{"a":"<&>"}}` + "\n"},
		{"an answer without a body", func(s *httpx.EventStream) {
			s.Send(map[string]string{"event": "start"})
			s.WriteHeader(http.StatusNoContent)
		}, `{"event":"start"}` + "\n" + `{"event":"end","status":204,"headers":{"X-Correlation-Id":"c"},"body":null}` + "\n"},
		{
			"no answer", func(s *httpx.EventStream) { s.Send(map[string]string{"event": "start"}) },
			`{"event":"start"}` + "\n" + `{"event":"end","status":200,"headers":{"X-Correlation-Id":"c"},"body":null}` + "\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("X-Correlation-Id", "c")
			httpx.Stream(w, c.serve)
			if w.Body.String() != c.want {
				t.Errorf("%s\nwant\n%s", w.Body, c.want)
			}
			if streamed := w.Code == http.StatusOK && w.Header().Get("Content-Type") == httpx.NDJSON && w.Header().Get("Location") == ""; streamed != (c.name != "no event") {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			httpx.Stream(broken{httptest.NewRecorder()}, c.serve) // nothing happens
		})
	}
}

// TestStreamPanics: what goes wrong after the first event is told in the last one.
func TestStreamPanics(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", nil)
	httpx.Stream(w, func(s *httpx.EventStream) {
		httpx.Handle(slog.New(slog.DiscardHandler), func(http.ResponseWriter, *http.Request) error {
			s.Send(map[string]string{"event": "start"})
			panic("x")
		}, problem.Write).ServeHTTP(s, r)
	})
	if lines := strings.Split(w.Body.String(), "\n"); len(lines) != 3 || !strings.Contains(lines[1], `"event":"end","status":500`) || !strings.Contains(lines[1], `"code":"internal"`) {
		t.Errorf("%s", w.Body)
	}
}
