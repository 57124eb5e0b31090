package functions_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/functions"
	"fhirlink/shared/httpx"
)

const origin = "https://app.contoso.com"

func TestPreflights(t *testing.T) {
	r := newRig(t, func(d *functions.Deps) { d.Origins = []string{origin} })
	for _, path := range paths() {
		target := strings.ReplaceAll(path, "{slug}", "good-health-clinic")
		for _, from := range []string{origin, "https://evil.example", ""} {
			header := http.Header{"Access-Control-Request-Method": {"PATCH"}, "Access-Control-Request-Headers": {"authorization"}}
			if from != "" {
				header.Set("Origin", from)
			}
			a := r.send(t, request{method: "OPTIONS", target: target, header: header})
			if a.status != http.StatusNoContent || a.body != "" {
				t.Errorf("%s: %d %q", path, a.status, a.body)
			}
			if got, want := a.header.Get("Allow"), allowed(path); got != want {
				t.Errorf("%s: Allow %q, want %q", path, got, want)
			}
			switch {
			case appPage(path):
				if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Methods") != "" {
					t.Errorf("%s: %v", path, a.header)
				}
				continue
			case strings.HasPrefix(path, "/api/smart/"):
				checkOpen(t, path, a.header)
				continue
			}
			closed := path == "/api/token" || strings.HasSuffix(path, "/launches") // applications only
			open := from == origin && !closed
			headers := "Authorization, Content-Type, If-Match"
			if strings.HasSuffix(path, "/smart") || strings.Contains(path, "/apps") {
				headers += ", If-None-Match"
			}
			if got := a.header.Get("Access-Control-Allow-Origin") == origin; got != open {
				t.Errorf("%s from %q: %v", path, from, a.header)
			}
			if open && (a.header.Get("Access-Control-Allow-Methods") != allowed(path) || a.header.Get("Access-Control-Allow-Headers") != headers) {
				t.Errorf("%s: %v", path, a.header)
			}
			if got := a.header.Get("Vary") == "Origin"; got == closed {
				t.Errorf("%s: Vary %q", path, a.header.Get("Vary"))
			}
		}
	}
}

// checkOpen: every web page may read what lies below an issuer, none with credentials.
func checkOpen(t *testing.T, path string, h http.Header) {
	t.Helper()
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Access-Control-Allow-Methods") != allowed(path) || h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" || h.Get("Vary") != "" {
		t.Errorf("%s: %v", path, h)
	}
}

// allowed returns the Allow header of a path, from the route list.
func allowed(path string) string {
	methods := []string{"OPTIONS"}
	for _, route := range (functions.Deps{}).Routes() {
		if route.Path != path {
			continue
		}
		methods = append(methods, route.Method)
		if route.Method == "GET" && !route.NoHead {
			methods = append(methods, "HEAD")
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// Web pages can read errors from every stage of a request, except those of token.
func TestErrorsCanBeReadByWebPages(t *testing.T) {
	r := newRig(t, func(d *functions.Deps) {
		d.Origins = []string{origin}
		d.Limits = httpx.NewRateLimit(1, 1, nil)
	})
	from := http.Header{"Origin": {origin}}
	tests := []struct {
		q      request
		status int
	}{
		{request{method: "GET", target: "/api/links"}, 401},
		{request{method: "GET", target: "/api/links", caller: app(orgA)}, 403},
		{request{method: "GET", target: "/api/nothing"}, 404},
		{request{method: "POST", target: "/api/links"}, 405},
		{request{method: "POST", target: "/api/register", caller: manager(orgA), body: "{"}, 400},
		{request{method: "POST", target: "/api/register", caller: manager(orgA), body: "{"}, 429},
		{request{method: "GET", target: "/api/health"}, 200},
	}
	for _, tt := range tests {
		tt.q.header = from
		a := r.send(t, tt.q)
		if a.status != tt.status || a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Access-Control-Expose-Headers") != "ETag, Location, Retry-After, WWW-Authenticate, X-Correlation-Id" || a.header.Get("Vary") != "Origin" {
			t.Errorf("%s %s: %d %v", tt.q.method, tt.q.target, a.status, a.header)
		}
	}
	for _, method := range []string{"POST", "GET"} {
		a := r.send(t, request{method: method, target: "/api/token", header: from})
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				t.Errorf("%s token: %s", method, name)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(d *functions.Deps) { d.Limits = httpx.NewRateLimit(functions.PerMinute, functions.Burst, nil) })
		ask := func(organization, method, path string) answer {
			return r.send(t, request{caller: manager(organization), method: method, target: strings.ReplaceAll(path, "{slug}", "good-health-clinic")})
		}
		limited := []string{
			"POST /api/register", "POST /api/verify", "PATCH /api/links/{slug}", "PUT /api/links/{slug}/secret",
			"PUT /api/links/{slug}/smart", "POST /api/links/{slug}/apps", "PATCH /api/links/{slug}/apps/{clientId}", "POST /api/links/{slug}/apps/{clientId}/secret",
			"POST /api/webhooks", "PATCH /api/webhooks/{id}", "POST /api/webhooks/{id}/test", "POST /api/webhooks/{id}/rotate",
		}
		for i := range 200 {
			method, path, _ := strings.Cut(limited[i%len(limited)], " ")
			if a := ask(orgA, method, path); a.status == http.StatusTooManyRequests {
				t.Fatalf("request %d: %s", i, a.body)
			}
		}
		for _, route := range r.deps.Routes() {
			a := ask(orgA, route.Method, route.Path)
			if want := slices.Contains(limited, route.Method+" "+route.Path); (a.status == http.StatusTooManyRequests) != want {
				t.Errorf("%s %s: %d", route.Method, route.Path, a.status)
			}
			if a.status == http.StatusTooManyRequests {
				a.want(t, http.StatusTooManyRequests, "too_many_requests")
				if got := a.header.Get("Retry-After"); got != "1" {
					t.Errorf("Retry-After %q", got)
				}
			}
		}
		for i := range 200 { // /api/discover has a limit of its own; one request was above
			if a := ask(orgA, "POST", "/api/discover"); (a.status == http.StatusTooManyRequests) != (i == 199) {
				t.Fatalf("discover, request %d: %s", i, a.body)
			}
		}
		if a := ask(orgB, "POST", "/api/verify"); a.status == http.StatusTooManyRequests {
			t.Error("one organization uses up the limit of another")
		}
		time.Sleep(time.Minute)
		for i := range 60 {
			if a := ask(orgA, "POST", "/api/verify"); a.status == http.StatusTooManyRequests {
				t.Fatalf("a minute later, request %d: %s", i, a.body)
			}
		}
		if a := ask(orgA, "POST", "/api/verify"); a.status != http.StatusTooManyRequests {
			t.Error("more than 60 a minute")
		}
	})
}

// Requests without the right do not count against the organization's rate limit.
func TestLimitsCountCallersWithTheRight(t *testing.T) {
	r := newRig(t, func(d *functions.Deps) { d.Limits = httpx.NewRateLimit(1, 1, nil) })
	for range 3 {
		r.send(t, request{caller: app(orgA), method: "POST", target: "/api/verify", body: "{}"}).want(t, http.StatusForbidden, "forbidden")
	}
	r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/verify", body: "{}"}).want(t, http.StatusOK, "")
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{
		"/api", "/api/", "/api/links/", "/api//links", "//api/links", "/api/./links", "/api/links/../links", "/api/Links", "/API/links",
		"/api/links/a/b", "/api/links/a/secret/", "/api/links//secret", "/api/register/", "/api/tokens", "/api/health/x", "/links", "//", "/api/openapi",
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			r.send(t, request{caller: manager(orgA), method: method, target: target}).want(t, http.StatusNotFound, "not_found")
		}
	}
	// An OAuth client with a mistyped address of the token endpoint reads OAuth's words only.
	for _, target := range []string{"/api/token/", "/api/token/x", "/api//token", "//api/token", "/api/./token", "/api/links/../token"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "CONNECT"} {
			a := r.send(t, request{caller: app(orgA), method: method, target: target})
			a.want(t, http.StatusNotFound, "invalid_request")
			if a.header.Get("Vary") != "" {
				t.Errorf("%s %s: Vary %q", method, target, a.header.Get("Vary"))
			}
		}
	}
	for _, q := range []struct{ method, uri, path string }{{"OPTIONS", "*", "*"}, {"GET", "http://x", ""}, {"CONNECT", "example.com:443", ""}} {
		sent := httptest.NewRequest("GET", "/", nil)
		sent.Method, sent.RequestURI, sent.URL.Path = q.method, q.uri, q.path
		ask(r.public, sent).want(t, http.StatusNotFound, "not_found")
	}
}

func TestOtherMethods(t *testing.T) {
	r := newRig(t)
	for _, path := range paths() {
		for _, verb := range verbs {
			if strings.Contains(", "+allowed(path)+",", ", "+verb+",") {
				continue
			}
			a := r.send(t, request{method: verb, target: strings.ReplaceAll(path, "{slug}", "x")})
			if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != allowed(path) {
				t.Errorf("%s %s: %d, Allow %q", verb, path, a.status, a.header.Get("Allow"))
			}
		}
	}
}

func TestHEADAnswersAsGET(t *testing.T) {
	r := newRig(t)
	etag := r.register(t, orgA, "good-health-clinic")
	server := httptest.NewServer(r.public)
	defer server.Close()
	sent, err := http.NewRequestWithContext(t.Context(), "HEAD", server.URL+"/api/links/good-health-clinic", nil)
	if err != nil {
		t.Fatal(err)
	}
	sent.Header.Set("Authorization", "Bearer "+r.token(manager(orgA)))
	response, err := server.Client().Do(sent)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 || response.Header.Get("ETag") != etag || response.ContentLength <= 0 {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// Hostile slugs do not exist: they cause no fault, no redirect and no access to another's link.
func TestHostileSlugs(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	slugs := []string{
		"..", ".", "%2e%2e", "%2e%2e%2fregister", "a%2fb", "a%5cb", "%00", "a%00b", "%0d%0aSet-Cookie:%20a=b", "%ff%fe", "%e2%80%ae", "%c2%85", "%e2%80%a8",
		"good-health-clinic%00", "good-health-clinic%20", "GOOD-HEALTH-CLINIC", "good-health-clinic'", "%27%20or%20RowKey%20ne%20%27", "*", "$metadata",
		"a", "-a-", "xn--bcher-kva", strings.Repeat("a", 64), strings.Repeat("a", 5000), "%F0%9F%98%80", "g%CE%BFod-health-clinic", "{slug}", "%7bslug%7d", "%25",
	}
	for _, slug := range slugs {
		for _, path := range []string{"/api/links/" + slug, "/api/links/" + slug + "/secret", "/api/directory/" + slug} {
			for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
				body := ""
				if method == "PATCH" {
					body = `{"listed":true}`
				} else if method == "PUT" {
					body = `{"clientSecret":"another~secret"}`
				}
				a := r.send(t, request{caller: manager(orgA), method: method, target: path, body: body, header: http.Header{"If-Match": {"*"}}})
				if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
					t.Errorf("%s %.60s: %d %.200s", method, path, a.status, a.body)
				}
				if a.header.Get("Set-Cookie") != "" || a.header.Get("Location") != "" || len(a.body) > 1000 {
					t.Errorf("%s %.60s: %v %d bytes", method, path, a.header, len(a.body))
				}
			}
		}
		quoted := fmt.Sprintf("%q", slug)
		if strings.Contains(slug, "%") {
			continue
		}
		r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/verify", body: `{"slug":` + quoted + `}`}).want(t, http.StatusNotFound, "link_not_found")
		r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", body: `{"slug":` + quoted + `}`}).want(t, http.StatusBadRequest, "invalid_target")
	}
}

// Hostile bodies get the contract's errors on every route that takes one.
func TestHostileBodies(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	r.switchOn(t, orgA, "good-health-clinic")
	before := r.row(t, "good-health-clinic")
	bodies := map[string]string{
		"empty": "", "space": " ", "array": "[]", "null": "null", "number": "1", "truncated": `{"slug":`, "trailing": `{"slug":"a"} {}`,
		"duplicate": `{"slug":"a","slug":"b"}`, "case": `{"Slug":"a"}`, "unknown": `{"constructor":1,"__proto__":{}}`, "server's own": `{"organization":"` + orgB + `","status":"active","verifiedAt":null}`,
		"deep": strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), "deep array": strings.Repeat("[", 60_000),
		"not UTF-8": "{\"slug\":\"\xff\"}", "UTF-16": "{\x00\"\x00", "types": `{"slug":{},"scope":1,"clientSecret":[],"description":5}`, "huge": `{"slug":"` + strings.Repeat("a", 100_000) + `"}`,
		"huge number": `{"slug":1e999999999}`, "form": "slug=a", "XML": "<slug/>",
	}
	for _, route := range r.deps.Routes() {
		if route.Method == "GET" || route.Method == "DELETE" || bodiless(route.Path) {
			continue
		}
		for name, body := range bodies {
			a := r.send(t, request{
				caller: app(orgA, "Links.Manage.All", "Links.Token.All", "Links.Launch.All"), method: route.Method, target: strings.ReplaceAll(route.Path, "{slug}", "good-health-clinic"),
				body: body, contentType: jsonType, header: http.Header{"If-Match": {"*"}},
			})
			want := http.StatusBadRequest
			switch {
			case strings.HasPrefix(route.Path, "/api/smart/"): // they take forms only
				want = http.StatusUnsupportedMediaType
			case len(body) > httpx.MaxBody:
				want = http.StatusRequestEntityTooLarge
			}
			if a.status != want {
				t.Errorf("%s %s, %s: %d %.300s", route.Method, route.Path, name, a.status, a.body)
			}
		}
	}
	if after := r.row(t, "good-health-clinic"); !slices.Equal([]any{before.Revision, before.Description}, []any{after.Revision, after.Description}) {
		t.Error("something was written")
	}
}

// bodiless reports whether the POST of a path takes no body.
func bodiless(path string) bool { return strings.HasPrefix(path, "/api/webhooks/{id}/") }

// Over a real connection: a chunked body is accepted, and an endless one is cut off.
func TestBodiesOnTheWire(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.public)
	defer server.Close()
	post := func(body string, length int64) int {
		t.Helper()
		sent, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/api/verify", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sent.ContentLength = length
		sent.Header.Set("Content-Type", jsonType)
		sent.Header.Set("Authorization", "Bearer "+r.token(manager(orgA)))
		response, err := server.Client().Do(sent)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	if got := post(`{"slug":"no-such-clinic"}`, -1); got != http.StatusNotFound {
		t.Errorf("chunked: %d", got)
	}
	if got := post("", 0); got != http.StatusBadRequest {
		t.Errorf("empty: %d", got)
	}
	if got := post(`{"slug":"`+strings.Repeat("a", 200_000)+`"}`, -1); got != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked and huge: %d", got)
	}
}
