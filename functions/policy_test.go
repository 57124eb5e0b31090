package functions

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
)

type anyCaller struct{}

func (anyCaller) Authenticate(*http.Request) (caller.Caller, error) {
	return caller.Caller{
		Organization: "11111111-1111-4111-8111-111111111111", App: true, Operator: true,
		Roles: []string{"Links.Manage.All", "Links.Token.All", "Links.Launch.All", "Links.Administrator"}, Scopes: []string{"Links.Manage"},
	}, nil
}

// TestZeroPolicyIsStrict: a route that names no policy is closed to every caller and every web
// page. Opening one part of the policy opens nothing else.
func TestZeroPolicyIsStrict(t *testing.T) {
	d := Deps{
		Callers: anyCaller{}, Origins: []string{"https://app.contoso.com"}, Log: slog.New(slog.DiscardHandler),
		Limits: httpx.NewRateLimit(1, 1, nil),
	}
	ask := func(route Route, body string) *httptest.ResponseRecorder {
		route.Method, route.Path = "POST", "/api/new"
		route.Handle = func(w http.ResponseWriter, r *http.Request) error {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
			return nil
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/new", strings.NewReader(body))
		r.Header.Set("Origin", "https://app.contoso.com")
		w := httptest.NewRecorder()
		d.serve([]Route{route}).ServeHTTP(w, r)
		return w
	}
	closed := ask(Route{}, "")
	if closed.Code != http.StatusForbidden || closed.Header().Get("Access-Control-Allow-Origin") != "" || closed.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("nothing named: %d %v", closed.Code, closed.Header())
	}
	if first := ask(Route{Right: caller.Any}, strings.Repeat("a", httpx.MaxBody)); first.Code != http.StatusOK || first.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the right named: %d %v", first.Code, first.Header())
	}
	if again := ask(Route{Right: caller.Any}, ""); again.Code != http.StatusTooManyRequests {
		t.Errorf("the second one in a minute: %d", again.Code)
	}
	if large := ask(Route{Right: caller.Any, Rate: Unlimited}, strings.Repeat("a", httpx.MaxBody+1)); large.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a larger body: %d", large.Code)
	}
}

// TestPoliciesAreWhole: routes of one path agree on the policy that they share. Triggers are for
// the Functions host only, and no other route is.
func TestPoliciesAreWhole(t *testing.T) {
	paths := map[string]string{} // to their functions
	for _, route := range (Deps{}).Routes() {
		if first, ok := paths[route.Path]; ok && first != route.Function {
			t.Errorf("%s %s: of %s, another method of the path of %s", route.Method, route.Path, route.Function, first)
		}
		paths[route.Path] = route.Function
		if route.Right == caller.Nobody || route.Right == caller.FunctionsHost {
			t.Errorf("%s %s: no caller has its right", route.Method, route.Path)
		}
		if !strings.HasPrefix(route.Path, "/api/") {
			t.Errorf("%s %s: a public path begins with /api/", route.Method, route.Path)
		}
	}
	for _, route := range (Deps{}).Triggers() {
		if _, public := paths[route.Path]; public || route.Right != caller.FunctionsHost || route.CORS != NoOrigin || strings.HasPrefix(route.Path, "/api/") {
			t.Errorf("%s %s: %+v", route.Method, route.Path, route)
		}
	}
}

// TestOnePolicyForAPath: a route that differs from the first of its path would be served under
// that one's policy, so it is a mistake in the program.
func TestOnePolicyForAPath(t *testing.T) {
	for name, second := range map[string]Route{
		"the host's":   {Right: caller.FunctionsHost},
		"web pages":    {Right: caller.Open, CORS: FrontEnds},
		"other errors": {Right: caller.Open, Errors: OAuth},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			second.Method, second.Path = "POST", "/api/x"
			(Deps{Log: slog.New(slog.DiscardHandler)}).serve([]Route{{Method: "GET", Path: "/api/x", Right: caller.Open}, second})
		})
	}
}

// TestAppPagesAreNeverKept: whatever a browser that signs in asks, and by whatever method, the answer is not kept,
// and tells no other site where it was.
func TestAppPagesAreNeverKept(t *testing.T) {
	d := Deps{Log: slog.New(slog.DiscardHandler)}
	var routes []Route
	for _, route := range d.Routes() {
		if route.Errors == AppPages {
			route.Handle = func(http.ResponseWriter, *http.Request) error { return errors.New("canary") }
			routes = append(routes, route)
		}
	}
	if len(routes) < 5 {
		t.Fatalf("%d routes only", len(routes))
	}
	served := d.serve(routes)
	for _, route := range routes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			w := httptest.NewRecorder()
			served.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, strings.Replace(route.Path, "{slug}", "clinic", 1), nil))
			if w.Code < 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s %s: %d %v", method, route.Path, w.Code, w.Header())
			}
		}
	}
}
