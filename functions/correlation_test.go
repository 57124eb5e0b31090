package functions_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var correlationID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// TestEveryAnswerIsCorrelated: every answer of every route, and of no route, carries the id under
// which the log knows the request. A problem's instance is the same id.
func TestEveryAnswerIsCorrelated(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	var requests []request
	for _, route := range r.deps.Routes() {
		target := strings.NewReplacer("{slug}", "good-health-clinic", "{id}", "x").Replace(route.Path)
		for _, method := range []string{route.Method, "OPTIONS", "TRACE"} {
			requests = append(requests, request{method: method, target: target}, request{caller: broker(orgA), method: method, target: target}, request{caller: manager(orgA), method: method, target: target})
		}
	}
	requests = append(requests, request{method: "GET", target: "/"}, request{method: "GET", target: "/nowhere"}, request{method: "GET", target: "/api/../x"})
	seen := map[string]bool{}
	for _, q := range requests {
		if q.method == "DELETE" {
			continue
		}
		a := ask(r.public, r.request(t, q))
		id := a.header.Get("X-Correlation-Id")
		if !correlationID.MatchString(id) || seen[id] {
			t.Errorf("%s %s: %d with X-Correlation-Id %q", q.method, q.target, a.status, id)
		}
		seen[id] = true
		if a.header.Get("Content-Type") == "application/problem+json" && !strings.Contains(a.body, `"instance":"urn:uuid:`+id+`"`) {
			t.Errorf("%s %s: X-Correlation-Id %s, %s", q.method, q.target, id, a.body)
		}
		if !strings.Contains(r.log.String(), `"correlation":"`+id+`"`) {
			t.Errorf("%s %s: the log does not know %s", q.method, q.target, id)
		}
	}
}

// TestUnknownQueryKeys: a key that would be ignored is refused, after the right was checked.
func TestUnknownQueryKeys(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	for _, tt := range []struct {
		caller         claims
		method, target string
		status         int
		code           string
	}{
		{manager(orgA), "GET", "/api/links?code=x", 422, "invalid_fields"},
		{manager(orgA), "GET", "/api/links?Limit=1", 422, "invalid_fields"},
		{manager(orgA), "GET", "/api/links?limit=1&status=active", 200, ""},
		{manager(orgA), "GET", "/api/links/good-health-clinic?x", 422, "invalid_fields"},
		{manager(orgA), "GET", "/api/links/good-health-clinic/events?limit=1", 200, ""},
		{manager(orgA), "GET", "/api/links/good-health-clinic/events?status=active", 422, "invalid_fields"},
		{nil, "GET", "/api/links?code=x", 401, "unauthenticated"},
		{nil, "GET", "/api/health?x=%zz", 422, "invalid_fields"},
		{nil, "GET", "/api/openapi.yaml?x=1", 200, ""},
		{nil, "GET", "/?x=1", 200, ""},
		{broker(orgA), "POST", "/api/token?slug=good-health-clinic", 400, "invalid_request"},
		{broker(orgA), "POST", "/api/token?%zz", 400, "invalid_request"},
	} {
		a := ask(r.public, r.request(t, request{caller: tt.caller, method: tt.method, target: tt.target}))
		if a.status != tt.status || tt.code != "" && !strings.Contains(a.body, `"`+tt.code+`"`) {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, a.status, a.body)
		}
	}
	refused := ask(r.public, r.request(t, request{caller: manager(orgA), method: "GET", target: "/api/links?code=x"}))
	if !strings.Contains(refused.body, `"field":"code"`) || !strings.Contains(refused.body, "limit, continue, expiringWithin, status, secretState") {
		t.Errorf("%s", refused.body)
	}
}

// TestDeleteRepeated: a host may deliver a DELETE more than once, and each delivery is answered
// as the first.
func TestDeleteRepeated(t *testing.T) {
	r := newRig(t)
	etag := r.register(t, orgA, "good-health-clinic")
	remove := func(organization, ifMatch string) answer {
		header := http.Header{}
		if ifMatch != "" {
			header.Set("If-Match", ifMatch)
		}
		return r.send(t, request{caller: manager(organization), method: "DELETE", target: "/api/links/good-health-clinic", header: header})
	}
	for range 3 {
		remove(orgA, etag).want(t, http.StatusNoContent, "")
	}
	remove(orgB, etag).want(t, http.StatusNotFound, "link_not_found")
	remove(orgA, "").want(t, http.StatusNotFound, "link_not_found")
	r.register(t, orgA, "good-health-clinic")
	remove(orgA, etag).want(t, http.StatusPreconditionFailed, "changed_meanwhile")
}

// TestErrorsNameTheField: what a form has to mark is named.
func TestErrorsNameTheField(t *testing.T) {
	r := newRig(t)
	etag := r.register(t, orgA, "good-health-clinic")
	register := func(organization, slug, scenario, secret string) answer {
		return r.send(t, request{caller: manager(organization), method: "POST", target: "/api/register", body: registration(slug, scenario, secret)})
	}
	patch := r.send(t, request{
		caller: manager(orgA), method: "PATCH", target: "/api/links/good-health-clinic", header: http.Header{"If-Match": {etag}},
		body: `{"fhirServerUrl":"https://readonly.fhir.sandbox.test"}`,
	})
	for field, a := range map[string]answer{
		"slug":          register(orgB, "good-health-clinic", "clinic", clientSecret),
		"clientSecret":  register(orgA, "clinic-b", "clinic", "wrong~secret"),
		"fhirServerUrl": register(orgA, "clinic-b", "html", clientSecret),
	} {
		if !strings.Contains(a.body, `"errors":[{"field":"`+field+`"`) {
			t.Errorf("%s: %s", field, a.body)
		}
	}
	if !strings.Contains(patch.body, `"errors":[{"field":"clientSecret","code":"secret_required"`) {
		t.Errorf("%s", patch.body)
	}
}
