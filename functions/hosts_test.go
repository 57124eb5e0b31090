package functions_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions"
)

// functionJSON is the function.json of an HTTP or timer function.
type functionJSON struct {
	Bindings []struct {
		Type, Direction, Name, AuthLevel, Route, Schedule string
		Methods                                           []string
		RunOnStartup, UseMonitor                          bool
	}
}

// function reads functions/{name}/function.json.
func function(t *testing.T, name string) functionJSON {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(name, "function.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f functionJSON
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

var (
	functionName = regexp.MustCompile(`^[a-z][a-z0-9_\-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,127}$`)
)

// allMethods are the methods that function.json can list.
var allMethods = []string{"get", "head", "post", "put", "patch", "delete", "options", "trace"}

// Every function.json leads to its routes, and nothing in it keeps the host from forwarding. It
// lists every method, also those that no route has. The host itself answers a method that is not
// listed, with 404 and without Allow; the routes must decide which methods a path has.
func TestFunctionJSONAgreesWithTheRoutes(t *testing.T) {
	templates := map[string][]string{}
	for _, route := range slices.Concat((functions.Deps{}).Routes(), (functions.Deps{}).Pages()) {
		templates[route.Function] = append(templates[route.Function], route.Path)
	}
	for name, paths := range templates {
		t.Run(name, func(t *testing.T) {
			f := function(t, name)
			if len(f.Bindings) != 2 {
				t.Fatalf("%d bindings; the host forwards to functions with one trigger and one output only", len(f.Bindings))
			}
			in, out := f.Bindings[0], f.Bindings[1]
			if in.Type != "httpTrigger" || in.Direction != "in" || in.AuthLevel != "anonymous" || out.Type != "http" || out.Direction != "out" {
				t.Errorf("bindings %+v", f.Bindings)
			}
			if !slices.Equal(in.Methods, allMethods) {
				t.Errorf("methods %q, want all of them: %q", in.Methods, allMethods)
			}
			for _, path := range paths {
				if !matches(in.Route, strings.TrimPrefix(path, "/api/")) {
					t.Errorf("route %q does not lead to %s", in.Route, path)
				}
			}
			if first, _, _ := strings.Cut(in.Route, "/"); first == "admin" || first == "runtime" || strings.Contains(in.Route, "*") && !slices.Contains([]string{"manage/{*path}", "smart/{slug}/{*rest}"}, in.Route) {
				t.Errorf("route %q is the host's own, or a catch-all", in.Route)
			}
			checkNames(t, name, f)
		})
	}
}

func checkNames(t *testing.T, name string, f functionJSON) {
	t.Helper()
	if !functionName.MatchString(name) || name == "host" {
		t.Errorf("%q is no name of a function", name)
	}
	for _, b := range f.Bindings {
		if !bindingName.MatchString(b.Name) {
			t.Errorf("%q is no name of a binding", b.Name)
		}
	}
}

// matches reports whether a route template of the host leads to one of our paths.
func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i, segment := range want {
		if strings.HasPrefix(segment, "{*") { // as many as there are
			return true
		}
		optional := strings.HasSuffix(segment, "?}")
		switch {
		case i >= len(got):
			if !optional {
				return false
			}
		case !strings.HasPrefix(segment, "{") && segment != got[i]:
			return false
		}
	}
	return len(got) <= len(want)
}

// TestOrderOfFunctions: the host tries the routes in the order of the functions' names, and the first that
// matches wins. So a function whose paths another one's route matches too must come before that one.
func TestOrderOfFunctions(t *testing.T) {
	templates, routes := map[string]string{}, slices.Concat((functions.Deps{}).Routes(), (functions.Deps{}).Pages())
	for _, route := range routes {
		templates[route.Function] = function(t, route.Function).Bindings[0].Route
	}
	overlaps := 0
	for _, route := range routes {
		path := strings.TrimPrefix(route.Path, "/api/")
		for name, template := range templates {
			if name == route.Function || !matches(template, path) {
				continue
			}
			if overlaps++; name < route.Function {
				t.Errorf("%s %s: the host would ask the function %s", route.Method, route.Path, name)
			}
		}
	}
	if overlaps == 0 {
		t.Error("no route matches another function's path: this test looks at nothing")
	}
}

func TestTimerFunctionJSON(t *testing.T) {
	for _, route := range (functions.Deps{}).Triggers() {
		f := function(t, route.Function)
		checkNames(t, route.Function, f)
		if route.Path != "/"+route.Function || route.Method != "POST" {
			t.Errorf("the host calls POST /%s, the route is %s %s", route.Function, route.Method, route.Path)
		}
		if len(f.Bindings) != 1 {
			t.Fatalf("%+v", f)
		}
		timer := f.Bindings[0]
		if timer.Type != "timerTrigger" || timer.Direction != "in" || timer.Name != "timer" || timer.Schedule != "%FHIRLINK_SECRET_EXPIRY_SCHEDULE%" || timer.RunOnStartup {
			t.Errorf("%+v", timer)
		}
	}
}

// Every folder with a function.json has a route, and every endpoint's folder has one.
func TestEveryFunctionHasARoute(t *testing.T) {
	var routed []string
	deps := functions.Deps{}
	for _, route := range slices.Concat(deps.Routes(), deps.Pages(), deps.Triggers()) {
		routed = append(routed, route.Function)
	}
	slices.Sort(routed)
	routed = slices.Compact(routed)
	folders, err := filepath.Glob("*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for i := range folders {
		folders[i] = filepath.Dir(folders[i])
	}
	if !slices.Equal(folders, routed) {
		t.Errorf("folders %q, routes %q", folders, routed)
	}
}

// A trigger answers the Functions host's own calls and no others.
func TestHost(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.behindHost)
	t.Cleanup(server.Close)
	own := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(own, ":")
	const invocation = `{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}`
	send := func(method, target, host string, header ...string) (status int, body string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, strings.NewReader(invocation))
		if err != nil {
			t.Fatal(err)
		}
		q.Host = host
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			q.Header.Set(name, value)
		}
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		data, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(data)
	}
	for _, tt := range []struct {
		method, target, host string
		status               int
	}{
		{"GET", "/", own, 200},
		{"GET", "/api/health", own, 200},
		{"GET", "/api/health", "api.contoso.com", 200},
		{"POST", "/secret-expiry", own, 200},
		{"POST", "/secret-expiry", "localhost:" + port, 200},
		{"GET", "/secret-expiry", own, 405},
		{"POST", "/api/secret-expiry", own, 404},
		{"POST", "/api/../secret-expiry", own, 404},
		{"POST", "/api%2f..%2fsecret-expiry", own, 404},
		{"POST", "/secret-expiry/", own, 404},
		{"GET", "/health", own, 404},
		{"GET", "/api", own, 404},
		{"GET", "/elsewhere", own, 404},
	} {
		if status, body := send(tt.method, tt.target, tt.host); status != tt.status {
			t.Errorf("%s %s of %s: %d %s, want %d", tt.method, tt.target, tt.host, status, body, tt.status)
		}
	}

	// Other callers get the answer for an unknown path, whatever the method.
	unknown := `"code":"not_found"`
	for _, host := range []string{"api.contoso.com", "127.0.0.1", "localhost", "127.0.0.1:7071", "127.0.0.1.evil.example:" + port, "[::1]:" + port, "LOCALHOST:" + port} {
		for _, method := range []string{"POST", "GET"} {
			if status, body := send(method, "/secret-expiry", host); status != 404 || !strings.Contains(body, unknown) {
				t.Errorf("%s of %s: %d %s", method, host, status, body)
			}
		}
	}
	for _, line := range []string{
		"X-Forwarded-For: 203.0.113.7:51234", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http://e/secret-expiry?", "X-Forwarded-Host: api.contoso.com",
		"X-ARR-LOG-ID: 3f1d0a56-7f2b-4f6e-9a3b-6b0f5f6c1d20", "X-Original-URL: /api/health", "DISGUISED-HOST: api.contoso.com", "CLIENT-IP: 203.0.113.7:51234", "Forwarded: for=203.0.113.7",
	} {
		if status, body := send("POST", "/secret-expiry", own, line); status != 404 || !strings.Contains(body, unknown) {
			t.Errorf("%s: %d %s", line, status, body)
		}
	}
}

// The host forwards a client's invocation id before its own. Only its own is logged.
func TestInvocationIDInTheLog(t *testing.T) {
	r := newRig(t)
	header := http.Header{"X-Azure-Functions-Invocationid": {"canary", "3f1d0a56-7f2b-4f6e-9a3b-6b0f5f6c1d20"}}
	a := r.send(t, request{method: "GET", target: "/api/links?code=canary", header: header})
	id := strings.TrimPrefix(a.field(t, "instance").(string), "urn:uuid:")
	if log := r.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, `"invocation":"3f1d0a56-7f2b-4f6e-9a3b-6b0f5f6c1d20"`) || !strings.Contains(log, `"correlation":"`+id+`"`) {
		t.Errorf("%s", log)
	}
}

// Hosts deliver a slash in a slug escaped once, twice or, having escaped it anew, once more.
func TestEscapedPathsAreAnsweredAlike(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/links/%s", "/api/links/%s/events", "/api/directory/%s", "/api/webhooks/%s"} {
		var first string
		for _, slug := range []string{"a%2Fb", "a%252Fb", "a%25252Fb", "%61%252fb"} {
			a := ask(r.public, r.request(t, request{caller: manager(orgA), method: "GET", target: strings.Replace(path, "%s", slug, 1)}))
			detail := fmt.Sprint(a.field(t, "detail"))
			if first == "" {
				first = detail
			}
			if a.status != http.StatusNotFound || detail != first || !strings.Contains(detail, `"a/b"`) {
				t.Errorf(path+": %d %s, want 404 %s", slug, a.status, detail, first)
			}
		}
	}
}
