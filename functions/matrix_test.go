package functions_test

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions"
	"fhirlink/shared/caller"
)

// verbs are all methods that a route can have, and three that no route has.
var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "LINK"}

// Two organizations, every route, every verb: no organization sees or touches another's link,
// and a link of another organization gets exactly the answer of one that does not exist.
func TestNotYoursIsNotThere(t *testing.T) {
	r := newRig(t)
	const theirs, absent = "good-health-clinic", "no-health-clinic-x" // of equal length, for Content-Length
	r.register(t, orgA, theirs)
	// Unlisted, so that the directory does not show it either.
	patched := r.send(t, request{
		caller: manager(orgA), method: "PATCH", target: "/api/links/" + theirs, body: `{"listed":false}`, header: http.Header{"If-Match": {"*"}},
	})
	patched.want(t, http.StatusOK, "")
	before, secrets := r.row(t, theirs), r.secrets.Entries()

	strangers := map[string]claims{
		"a manager of B":          manager(orgB),
		"an administrator of B":   user(orgB, "Links.Manage", "Links.Administrator"),
		"all of B's rights":       app(orgB, "Links.Manage.All", "Links.Token.All", "Links.Launch.All"),
		"the operator's manager":  manager(operator),
		"an administrator of it":  user(operator, "Links.Manage", "Links.Administrator"),
		"a user of A, no right":   user(orgA, "Links.Manage"),
		"a user of A, other role": user(orgA, "Links.Manage", "Links.Reader"),
		"nobody":                  nil,
	}
	count := 0
	for name, stranger := range strangers {
		for _, q := range allRequests(theirs) {
			q.caller = stranger
			got := r.send(t, q)
			q.target, q.body = strings.ReplaceAll(q.target, theirs, absent), strings.ReplaceAll(q.body, theirs, absent)
			want := r.send(t, q)
			count++
			if got.status < 300 && q.method != "OPTIONS" {
				t.Errorf("%s, %s %s %s: %d %s", name, q.method, q.target, q.body, got.status, got.body)
			}
			if !reflect.DeepEqual(anonymous(got, theirs), anonymous(want, absent)) {
				t.Errorf("%s, %s %s %s:\nnot theirs: %d %v %s\nnot there:  %d %v %s",
					name, q.method, q.target, q.body, got.status, got.header, got.body, want.status, want.header, want.body)
			}
		}
	}
	t.Logf("%d requests", count)
	if after := r.row(t, theirs); !reflect.DeepEqual(before, after) {
		t.Errorf("the link was changed:\n%+v\n%+v", before, after)
	}
	if after := r.secrets.Entries(); !reflect.DeepEqual(secrets, after) {
		t.Error("the secrets were changed")
	}
}

// allRequests returns every route with every verb, about one slug.
func allRequests(slug string) (all []request) {
	ifMatch := http.Header{"If-Match": {"*"}}
	for _, path := range paths() {
		target := strings.ReplaceAll(path, "{slug}", slug)
		if path == "/api/register" {
			continue // slugs are unique over all organizations, so 409 must reveal that one is taken
		}
		for _, verb := range verbs {
			if path == "/api/verify" || path == "/api/token" || strings.Contains(path, "{slug}") {
				all = append(all, request{method: verb, target: target, body: bodyOf(verb, path, slug), header: ifMatch})
			}
		}
	}
	form := "grant_type=client_credentials&slug=" + slug
	return append(all, request{method: "POST", target: "/api/token", contentType: formType, body: form})
}

func bodyOf(verb, path, slug string) string {
	switch {
	case strings.HasSuffix(path, "/secret"):
		return `{"clientSecret":"another~secret"}`
	case verb == "PATCH":
		return `{"description":"taken over"}`
	}
	return `{"slug":"` + slug + `"}`
}

// paths returns the paths of the route list, each once.
func paths() (all []string) {
	for _, route := range (functions.Deps{}).Routes() {
		if !slices.Contains(all, route.Path) {
			all = append(all, route.Path)
		}
	}
	return all
}

var instance = regexp.MustCompile(`(?:urn:uuid:|<code>)[0-9a-f-]{36}`)

// anonymous removes from an answer what may differ.
func anonymous(a answer, slug string) answer {
	a.body = strings.ReplaceAll(instance.ReplaceAllString(a.body, "instance"), slug, "slug")
	a.header = maps.Clone(a.header)
	delete(a.header, "X-Correlation-Id")
	return a
}

func (r *rig) row(t *testing.T, slug linkSlug) linkRow {
	t.Helper()
	l, err := r.stores.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Who may do what: the contract of the route list, written down a second time by hand.
func TestRights(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	callers := []struct {
		name   string
		caller claims
		rights []caller.Right
	}{
		{"nobody", nil, nil},
		{"application without roles", app(orgA), []caller.Right{caller.Any}},
		{"application that manages", manager(orgA), []caller.Right{caller.Any, caller.Manage}},
		{"application for tokens", broker(orgA), []caller.Right{caller.Any, caller.Token}},
		{"application of an EHR", opener(orgA), []caller.Right{caller.Any, caller.Launch}},
		{"application with a user's role", app(orgA, "Links.Administrator"), []caller.Right{caller.Any}},
		{"application with other spelling", app(orgA, "links.manage.all"), []caller.Right{caller.Any}},
		{"administrator", user(orgA, "openid Links.Manage", "Links.Administrator"), []caller.Right{caller.Any, caller.Manage}},
		{"user without the role", user(orgA, "Links.Manage"), []caller.Right{caller.Any}},
		{"user without the scope", user(orgA, "openid", "Links.Administrator"), []caller.Right{caller.Any}},
		{"user with applications' roles", user(orgA, "openid", "Links.Manage.All", "Links.Token.All", "Links.Launch.All"), []caller.Right{caller.Any}},
		{"user with an empty scp", user(orgA, "", "Links.Manage.All", "Links.Token.All", "Links.Launch.All"), []caller.Right{caller.Any}},
		{"application of a strange tenant", manager("99999999-9999-4999-8999-999999999999"), nil},
		{"token for another audience", claims{"tid": orgA, "aud": "api://other", "roles": []string{"Links.Manage.All"}}, nil},
		{"token of version 1", claims{"tid": orgA, "aud": audience, "ver": "1.0", "roles": []string{"Links.Manage.All"}}, nil},
	}
	for _, c := range callers {
		for _, route := range r.deps.Routes() {
			target := strings.ReplaceAll(route.Path, "{slug}", "good-health-clinic")
			// Without a body and If-Match the request changes nothing, but the right is checked
			// first.
			a := r.send(t, request{caller: c.caller, method: route.Method, target: target})
			want := "let through"
			switch {
			case route.Right == caller.Open, slices.Contains(c.rights, route.Right):
			case c.rights == nil:
				want = "401"
			default:
				want = "403"
			}
			got := "let through"
			if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
				got = fmt.Sprint(a.status)
			}
			if got != want {
				t.Errorf("%s, %s %s: %s, want %s", c.name, route.Method, route.Path, got, want)
			}
			if challenge := a.header.Get("WWW-Authenticate"); (got == "401" || got == "403") && !strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("%s, %s %s: WWW-Authenticate %q", c.name, route.Method, route.Path, challenge)
			}
		}
	}
	old := r.send(t, request{caller: callers[len(callers)-1].caller, method: "GET", target: "/api/links"})
	if !strings.Contains(old.body, "requestedAccessTokenVersion: 2") {
		t.Errorf("the refusal of a v1 token does not say what to do: %s", old.body)
	}
}

// No header except Authorization identifies a caller.
func TestPlatformHeadersAreNotTrusted(t *testing.T) {
	r := newRig(t)
	header := http.Header{
		"X-Ms-Client-Principal": {"eyJhdXRoX3R5cCI6ImFhZCJ9"}, "X-Ms-Client-Principal-Id": {"x"}, "X-Ms-Token-Aad-Access-Token": {"x"},
		"X-Local-Organization": {orgA}, "X-Functions-Key": {"x"}, "X-Forwarded-For": {"127.0.0.1"},
	}
	for _, route := range r.deps.Routes() {
		if route.Right == caller.Open {
			continue
		}
		a := r.send(t, request{method: route.Method, target: strings.ReplaceAll(route.Path, "{slug}", "x-clinic") + "?code=x", header: header})
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d", route.Method, route.Path, a.status)
		}
	}
}
