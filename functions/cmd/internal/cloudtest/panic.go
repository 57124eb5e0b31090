package cloudtest

import (
	"net/http"
	"strings"
	"testing"
)

// panics is a header that makes a request's body panic when it is read.
const panics = "X-Test-Panic"

// BrokenBodies gives requests with the header X-Test-Panic a body that panics. No known request
// makes a program panic.
func BrokenBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(panics) != "" {
			r = r.Clone(r.Context())
			r.Body = brokenBody{}
		}
		h.ServeHTTP(w, r)
	})
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { panic("canary") }
func (brokenBody) Close() error             { return nil }

// SurvivesPanics checks a program whose requests have broken bodies. A panic in an endpoint is
// answered with 500, one around it leaves the answer as it is, and the program lives. Three dead
// processes would end the Functions host.
func SurvivesPanics(t *testing.T, call func(method, path string, header http.Header) (status int)) {
	t.Helper()
	broken := http.Header{panics: {"1"}, "Content-Type": {"application/json"}}
	for range 3 {
		if status := call("POST", "/api/translate-scope", broken); status != http.StatusInternalServerError {
			t.Errorf("a panic in an endpoint: %d", status)
		}
		if status := call("POST", "/api/health", broken); status != http.StatusMethodNotAllowed {
			t.Errorf("a panic when the rest of a body is read: %d", status)
		}
		if status := call("GET", "/api/health", nil); status != http.StatusOK {
			t.Errorf("afterwards: %d", status)
		}
	}
}

// Calls returns what SurvivesPanics calls, for a program at url. A request without an answer fails
// the test.
func Calls(t *testing.T, url string) func(method, path string, header http.Header) int {
	return func(method, path string, header http.Header) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header.Clone()
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return 0
		}
		_ = response.Body.Close() // the status is enough
		return response.StatusCode
	}
}
