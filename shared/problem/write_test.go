package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/problem"
)

const correlation = "7a1c0000-0000-4000-8000-000000000001"

func write(t *testing.T, err error) (*http.Response, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(problem.WithCorrelation(t.Context(), correlation), "GET", "/", nil)
	w := httptest.NewRecorder()
	problem.Write(w, r, err)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Result(), body
}

func TestWrite(t *testing.T) {
	mistake := problem.Field{Field: "slug", Code: "bad_slug", Message: "m", Fix: "f"}
	tests := []struct {
		name    string
		err     error
		status  int
		headers map[string]string
		member  string // a member of the body, in addition to the usual ones
	}{
		{"fields", problem.Invalid(mistake), 422, nil, "errors"},
		{"wrapped", fmt.Errorf("register: %w", problem.Invalid(mistake)), 422, nil, "errors"},
		{"report", &problem.Error{Code: problem.VerificationFailed, Report: []int{1}}, 422, nil, "report"},
		{"results", &problem.Error{Code: problem.UntranslatableScope, Results: []int{1}}, 422, nil, "results"},
		{"retry", problem.Unavailable(errors.New("canary"), 1500*time.Millisecond, "d"), 503, map[string]string{"Retry-After": "2"}, ""},
		{"allow", &problem.Error{Code: problem.MethodNotAllowed, Allow: []string{"GET", "HEAD"}}, 405, map[string]string{"Allow": "GET, HEAD"}, ""},
		{"challenge", &problem.Error{Code: problem.Unauthenticated}, 401, map[string]string{"WWW-Authenticate": "Bearer"}, ""},
		{"own challenge", &problem.Error{Code: problem.Forbidden, Challenge: `Bearer error="insufficient_scope"`}, 403, map[string]string{"WWW-Authenticate": `Bearer error="insufficient_scope"`}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := write(t, tt.err)
			if response.StatusCode != tt.status || body["status"] != float64(tt.status) {
				t.Errorf("status = %d and %v in the body, want %d", response.StatusCode, body["status"], tt.status)
			}
			for name, want := range tt.headers {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			code := string(problem.CodeOf(tt.err))
			if body["code"] != code || body["type"] != "urn:fhirlink:problem:"+code || body["instance"] != "urn:uuid:"+correlation || body["title"] == "" {
				t.Errorf("body = %v", body)
			}
			usual := 6
			if tt.member != "" {
				usual++
				if _, ok := body[tt.member]; !ok {
					t.Errorf("no %s in %v", tt.member, body)
				}
			}
			if len(body) != usual {
				t.Errorf("%d members, want %d: %v", len(body), usual, body)
			}
		})
	}
}

func TestWriteSaysNothingOfAFault(t *testing.T) {
	faults := map[string]error{
		"a plain error":          errors.New("canary"),
		"internal with a detail": problem.New(problem.Internal, "canary"),
		"a nil problem":          (*problem.Error)(nil),
		"an unwritable report":   &problem.Error{Code: problem.VerificationFailed, Detail: "canary", Report: func() {}},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			response, body := write(t, fault)
			if response.StatusCode != 500 || body["code"] != "internal" || strings.Contains(fmt.Sprint(body), "canary") {
				t.Errorf("%d %v", response.StatusCode, body)
			}
		})
	}
}

// The answer is JSON, never part of HTML, and states its length.
func TestWriteLeavesTextAsItIs(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest("GET", "/", nil), problem.New(problem.NotFound, "App registrations > Certificates & secrets < all"))
	if !strings.Contains(w.Body.String(), `"App registrations > Certificates & secrets < all"`) {
		t.Errorf("%s", w.Body)
	}
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Errorf("Content-Length = %q of %d bytes", got, w.Body.Len())
	}
}

func TestWriteMakesAnInstance(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest("GET", "/", nil), problem.New(problem.NotFound, ""))
	if !regexp.MustCompile(`"instance":"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`).Match(w.Body.Bytes()) {
		t.Errorf("%s", w.Body)
	}
	for name, want := range map[string]string{"Content-Type": problem.ContentType, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestFrom(t *testing.T) {
	cause := errors.New("cause")
	if got := problem.From(cause); got.Code != problem.Internal || !errors.Is(got, cause) {
		t.Errorf("From keeps no cause: %v", got)
	}
	known := problem.New(problem.SlugTaken, "taken")
	if got := problem.From(fmt.Errorf("x: %w", known)); got != known {
		t.Errorf("From(%v) = %v", known, got)
	}
}

func TestNewCorrelationIsNew(t *testing.T) {
	if a, b := problem.NewCorrelation(), problem.NewCorrelation(); a == b {
		t.Errorf("twice %s", a)
	}
}
