package functions_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/functions"
	"fhirlink/shared/eventlog"
)

// BenchmarkToken compares a warm token request with a bare handler that writes the same bytes.
// Both run over loopback with the same client.
func BenchmarkToken(b *testing.B) {
	r := newRig(b, func(d *functions.Deps) {
		log := eventlog.NewWriter(io.Discard, 0)
		b.Cleanup(func() { _ = log.Close() })
		d.Log = eventlog.New(log, nil)
	})
	const body = "grant_type=client_credentials&slug=good-health-clinic"
	bearer := "Bearer " + r.token(broker(orgA))
	register := httptest.NewRequest("POST", "/api/register", strings.NewReader(registration("good-health-clinic", "clinic", clientSecret)))
	register.Header.Set("Content-Type", jsonType)
	register.Header.Set("Authorization", "Bearer "+r.token(manager(orgA)))
	if a := ask(r.public, register); a.status != http.StatusCreated {
		b.Fatal(a.body)
	}
	ask := func(b *testing.B, h http.Handler) (size int) {
		server := httptest.NewServer(h)
		defer server.Close()
		b.ReportAllocs()
		for b.Loop() {
			sent, err := http.NewRequestWithContext(b.Context(), "POST", server.URL+"/api/token", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			sent.Header.Set("Content-Type", formType)
			sent.Header.Set("Authorization", bearer)
			response, err := server.Client().Do(sent)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				b.Fatal(response.StatusCode, err)
			}
			_ = response.Body.Close()
			size = int(n)
		}
		return size
	}
	size := 0
	b.Run("token", func(b *testing.B) { size = ask(b, r.public) })
	b.Run("bare", func(b *testing.B) {
		answer := []byte(strings.Repeat("x", size))
		ask(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sent := httptest.NewRequest("POST", "/api/token", strings.NewReader(body))
			sent.Header.Set("Content-Type", formType)
			sent.Header.Set("Authorization", bearer)
			r.public.ServeHTTP(httptest.NewRecorder(), sent)
		}
	})
}
