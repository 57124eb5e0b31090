package functions_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fhirlink/functions"
	"fhirlink/shared/caller"
)

// The main path, in the order in which a newcomer takes it.
func TestRegisterVerifyTokenTranslate(t *testing.T) {
	r := newRig(t)
	registered := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/register", body: registration("good-health-clinic", "clinic", clientSecret)})
	registered.want(t, http.StatusCreated, "")
	if got := registered.header.Get("Location"); got != "/api/links/good-health-clinic" {
		t.Errorf("Location = %q", got)
	}
	for name, want := range map[string]any{
		"slug": "good-health-clinic", "fhirServerUrl": "https://clinic.fhir.sandbox.test", "tenantId": orgA,
		"audience": "https://clinic.fhir.sandbox.test", "status": "active", "listed": true, "etag": registered.header.Get("ETag"),
	} {
		if got := registered.field(t, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}

	verified := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/verify", body: `{"slug":"good-health-clinic"}`})
	verified.want(t, http.StatusOK, "")
	if verified.field(t, "status") != "pass" || verified.field(t, "access") != "read_write" {
		t.Errorf("report %s", verified.body)
	}

	for contentType, body := range map[string]string{formType: "grant_type=client_credentials&slug=good-health-clinic", jsonType: `{"slug":"good-health-clinic"}`} {
		granted := r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", contentType: contentType, body: body})
		granted.want(t, http.StatusOK, "")
		token, _ := granted.field(t, "access_token").(string)
		claims, err := r.entra.Check(token)
		if err != nil || claims.AppID != clientID || granted.field(t, "scope") != "https://clinic.fhir.sandbox.test/.default" {
			t.Errorf("%v, %s", err, granted.body)
		}
	}

	translated := r.send(t, request{method: "POST", target: "/api/translate-scope", body: `{"scope":"patient/Observation.r?_id=Id-With-Dashes openid"}`})
	translated.want(t, http.StatusOK, "")
	if got := translated.field(t, "scope"); got != `patient-Observation.r?_id=Id\-With\-Dashes openid` {
		t.Errorf("scope = %v", got)
	}
}

// A link's life after its registration.
func TestLinkLifecycle(t *testing.T) {
	r := newRig(t)
	first := r.register(t, orgA, "good-health-clinic")
	const path = "/api/links/good-health-clinic"
	send := func(method, target, body, ifMatch string) answer {
		t.Helper()
		header := http.Header{}
		if ifMatch != "" {
			header.Set("If-Match", ifMatch)
		}
		return r.send(t, request{caller: manager(orgA), method: method, target: target, body: body, header: header})
	}

	got := send("GET", path, "", "")
	got.want(t, http.StatusOK, "")
	if got.header.Get("ETag") != first || strings.Contains(got.body, `"report"`) || strings.Contains(got.body, `"notes"`) {
		t.Errorf("%v %s", got.header, got.body)
	}
	send("PATCH", path, `{"description":"d"}`, "").want(t, http.StatusPreconditionRequired, "if_match_required")
	send("PATCH", path, `{"description":"d"}`, `"stale"`).want(t, http.StatusPreconditionFailed, "changed_meanwhile")
	send("PATCH", path, `{"fhirServerUrl":"https://readonly.fhir.sandbox.test"}`, first).want(t, http.StatusUnprocessableEntity, "secret_required")

	patched := send("PATCH", path, `{"description":"Better Health","secretExpiresOn":null}`, first)
	patched.want(t, http.StatusOK, "")
	second := patched.header.Get("ETag")
	if second == first || patched.field(t, "description") != "Better Health" || !strings.Contains(patched.body, `"secret":{"expiresOn":null,"daysLeft":null,"state":"unknown"}`) {
		t.Errorf("%s", patched.body)
	}
	send("PATCH", path, `{"description":"d"}`, first).want(t, http.StatusPreconditionFailed, "changed_meanwhile")

	send("PUT", path+"/secret", `{"clientSecret":"wrong~secret"}`, second).want(t, http.StatusUnprocessableEntity, "verification_failed")
	replaced := send("PUT", path+"/secret", `{"clientSecret":"`+clientSecret+`","secretExpiresOn":"`+inDays(400)+`"}`, second)
	replaced.want(t, http.StatusOK, "")
	if replaced.header.Get("ETag") == second || !strings.Contains(replaced.body, `"expiresOn":"`+inDays(400)+`"`) {
		t.Errorf("%s", replaced.body)
	}

	listed := send("GET", "/api/links?limit=1", "", "")
	listed.want(t, http.StatusOK, "")
	if !strings.Contains(listed.body, `"slug":"good-health-clinic"`) || listed.field(t, "continue") != "" {
		t.Errorf("%s", listed.body)
	}
	found := r.send(t, request{caller: app(orgB), method: "GET", target: "/api/directory/good-health-clinic"})
	found.want(t, http.StatusOK, "")
	if found.body != `{"slug":"good-health-clinic","description":"Better Health"}`+"\n" {
		t.Errorf("%s", found.body)
	}

	send("DELETE", path, "", "").want(t, http.StatusPreconditionRequired, "if_match_required")
	deleted := send("DELETE", path, "", "*")
	deleted.want(t, http.StatusNoContent, "")
	if deleted.body != "" || deleted.header.Get("Content-Type") != "" {
		t.Errorf("%v %q", deleted.header, deleted.body)
	}
	send("GET", path, "", "").want(t, http.StatusNotFound, "link_not_found")
	r.send(t, request{caller: app(orgB), method: "GET", target: "/api/directory/good-health-clinic"}).want(t, http.StatusNotFound, "link_not_found")
	r.send(t, request{caller: manager(orgB), method: "POST", target: "/api/register", body: registration("good-health-clinic", "clinic", clientSecret)}).want(t, http.StatusConflict, "slug_taken")
}

func TestListPages(t *testing.T) {
	r := newRig(t)
	for _, slug := range []string{"clinic-c", "clinic-a", "clinic-b"} {
		r.register(t, orgA, slug)
	}
	r.register(t, orgB, "clinic-of-b")
	var slugs []any
	next := ""
	for range 3 {
		page := r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links?limit=1&continue=" + next})
		page.want(t, http.StatusOK, "")
		links, _ := page.field(t, "links").([]any)
		if len(links) != 1 {
			t.Fatalf("%s", page.body)
		}
		slugs = append(slugs, links[0].(map[string]any)["slug"])
		next, _ = page.field(t, "continue").(string)
		if next != "" {
			r.send(t, request{caller: manager(orgB), method: "GET", target: "/api/links?continue=" + next}).want(t, http.StatusUnprocessableEntity, "invalid_fields")
		}
	}
	if next != "" || slugs[0] != "clinic-a" || slugs[1] != "clinic-b" || slugs[2] != "clinic-c" {
		t.Errorf("slugs %v, continue %q", slugs, next)
	}
}

func TestVerificationOutcomes(t *testing.T) {
	r := newRig(t)
	tests := []struct {
		name, scenario, secret string
		status                 int
		code                   string
	}{
		{"no role yet", "norole", clientSecret, http.StatusCreated, ""},
		{"wrong secret", "clinic", "wrong~secret", http.StatusUnprocessableEntity, "verification_failed"},
		{"expired secret", "clinic", expiredSecret, http.StatusUnprocessableEntity, "verification_failed"},
		{"a web page", "html", clientSecret, http.StatusUnprocessableEntity, "verification_failed"},
		{"down", "down", clientSecret, http.StatusServiceUnavailable, "upstream_unavailable"},
		{"secret id", "clinic", "33333333-3333-4333-8333-333333333333", http.StatusUnprocessableEntity, "invalid_fields"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			slug := "clinic-" + strings.ReplaceAll(tt.name, " ", "-")
			a := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/register", body: registration(slug, tt.scenario, tt.secret)})
			a.want(t, tt.status, tt.code)
			rehearsed := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/verify", body: registration(slug+"-x", tt.scenario, tt.secret)})
			rehearsed.want(t, http.StatusOK, "")
			if tt.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if tt.status == http.StatusCreated && a.field(t, "status") != "pending_access" {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestTokenRefused(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	form := func(c claims, slug string) answer {
		return r.send(t, request{caller: c, method: "POST", target: "/api/token", contentType: formType, body: "grant_type=client_credentials&slug=" + slug})
	}
	form(broker(operator), "good-health-clinic").want(t, http.StatusOK, "")
	form(broker(orgB), "good-health-clinic").want(t, http.StatusBadRequest, "invalid_target")
	form(broker(orgA), "no-such-clinic").want(t, http.StatusBadRequest, "invalid_target")
	form(broker(orgA), "NOT%20A%20SLUG").want(t, http.StatusBadRequest, "invalid_target")
	form(manager(orgA), "good-health-clinic").want(t, http.StatusForbidden, "insufficient_scope")
	form(user(orgA, "Links.Manage", "Links.Administrator", "Links.Token.All"), "good-health-clinic").want(t, http.StatusForbidden, "insufficient_scope")

	for _, header := range []http.Header{nil, {"Authorization": {"Basic eDp5"}}} {
		a := r.send(t, request{method: "POST", target: "/api/token", contentType: formType, body: "grant_type=client_credentials", header: header})
		a.want(t, http.StatusUnauthorized, "invalid_client")
		if got := a.header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != "Bearer" {
			t.Errorf("WWW-Authenticate = %q", got)
		}
	}
	for _, values := range [][]string{{"Bearer"}, {"Bearer "}, {"Bearer a b"}, {"bearer not.a.token"}, {"Bearer a", "Bearer b"}} {
		a := r.send(t, request{method: "POST", target: "/api/token", contentType: formType, body: "grant_type=client_credentials", header: http.Header{"Authorization": values}})
		a.want(t, http.StatusUnauthorized, "invalid_token")
		if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer error="invalid_token", error_description="`) {
			t.Errorf("%q: WWW-Authenticate = %q", values, got)
		}
	}

	r.send(t, request{method: "GET", target: "/api/token"}).want(t, http.StatusMethodNotAllowed, "invalid_request")
	r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", contentType: "text/plain", body: "x"}).want(t, http.StatusUnsupportedMediaType, "invalid_request")
	r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", contentType: formType, body: strings.Repeat("x", 70_000)}).want(t, http.StatusRequestEntityTooLarge, "invalid_request")
}

func TestSignInNeedsReachableKeys(t *testing.T) {
	r := newRig(t)
	token := r.token(broker(orgA))
	r.entra.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	header := http.Header{"Authorization": {"Bearer " + token}}
	a := r.send(t, request{method: "POST", target: "/api/token", contentType: formType, body: "grant_type=client_credentials&slug=x", header: header})
	a.want(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	b := r.send(t, request{method: "GET", target: "/api/links", header: header})
	b.want(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if a.header.Get("Retry-After") == "" || b.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestPlainRoutes(t *testing.T) {
	r := newRig(t)
	health := r.send(t, request{method: "GET", target: "/api/health"})
	if health.status != 200 || health.body != `{"status":"ok","version":"test","program":"local"}`+"\n" {
		t.Errorf("%d %s", health.status, health.body)
	}
	document := r.send(t, request{method: "GET", target: "/api/openapi.yaml"})
	if document.status != 200 || !strings.HasPrefix(document.body, "openapi: 3.1.") || document.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %.40s", document.status, document.body)
	}
	ready := r.send(t, request{method: "GET", target: "/"})
	if ready.status != 200 || ready.body == "" {
		t.Errorf("%d %s", ready.status, ready.body)
	}
	r.send(t, request{method: "POST", target: "/", body: "{}"}).want(t, http.StatusMethodNotAllowed, "method_not_allowed")
	translated := r.send(t, request{method: "GET", target: "/api/translate-scope?scope=patient/Observation.rs"})
	translated.want(t, http.StatusOK, "")
	r.send(t, request{method: "POST", target: "/api/translate-scope", body: `{"scope":"a\u0007b"}`}).want(t, http.StatusUnprocessableEntity, "untranslatable_scope")
	r.send(t, request{method: "POST", target: "/api/translate-scope", body: `{}`}).want(t, http.StatusUnprocessableEntity, "invalid_fields")
}

func TestTimerRunsTheSweep(t *testing.T) {
	r := newRig(t)
	trigger := func(q request) answer {
		t.Helper()
		a := ask(r.behindHost, byHost(r.request(t, q)))
		checkDocumented(t, r.request(t, q), a)
		return a
	}
	a := trigger(request{method: "POST", target: "/secret-expiry", body: `{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}`})
	if a.status != 200 || !strings.Contains(a.body, `"Outputs":{},"Logs":["secret-expiry: the run has ended.`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	large := `{"Data":{"timer":{"IsPastDue":true}},"Metadata":{"filler":"` + strings.Repeat("x", 200<<10) + `"}}` // after a failed run
	if a := trigger(request{method: "POST", target: "/secret-expiry", body: large}); a.status != 200 || strings.Contains(r.log.String(), "timer.unreadable") || !strings.Contains(r.log.String(), "timer.late") {
		t.Errorf("%d %s\n%s", a.status, a.body, r.log.String())
	}
	trigger(request{method: "GET", target: "/secret-expiry"}).want(t, http.StatusMethodNotAllowed, "method_not_allowed")
	ask(r.behindHost, r.request(t, request{method: "POST", target: "/secret-expiry", body: "{}"})).want(t, http.StatusNotFound, "not_found")
	for _, target := range []string{"/secret-expiry", "/api/secret-expiry", "/api/../secret-expiry", "//secret-expiry"} {
		r.send(t, request{method: "POST", target: target, body: "{}"}).want(t, http.StatusNotFound, "not_found")
	}
}

// callers is a [caller.Authenticator] that always gives the same answer.
type callers struct{ err error }

func (c callers) Authenticate(*http.Request) (caller.Caller, error) { return caller.Caller{}, c.err }

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   string
		oauth  string
		logged bool
	}{
		{"a fault", errors.New("canary"), http.StatusInternalServerError, "internal", "server_error", true},
		{"out of time", fmt.Errorf("canary: %w", context.DeadlineExceeded), http.StatusServiceUnavailable, "upstream_unavailable", "temporarily_unavailable", true},
		{"no right", nil, http.StatusForbidden, "forbidden", "insufficient_scope", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(d *functions.Deps) { d.Callers = callers{tt.err} })
			for _, q := range []request{{method: "GET", target: "/api/links"}, {method: "POST", target: "/api/token", contentType: formType, body: "x=y"}} {
				code := tt.code
				if q.method == "POST" {
					code = tt.oauth
				}
				a := r.send(t, q)
				a.want(t, tt.status, code)
				if strings.Contains(a.body, "canary") {
					t.Errorf("the cause comes out: %s", a.body)
				}
			}
			if logged := strings.Count(r.log.String(), `"msg":"request.failed"`) == 2; logged != tt.logged {
				t.Errorf("logged: %s", r.log)
			}
		})
	}
}

// A request whose client has gone is not logged as a failure.
func TestClientGone(t *testing.T) {
	r := newRig(t, func(d *functions.Deps) { d.Callers = callers{context.Canceled} })
	sent := r.request(t, request{method: "GET", target: "/api/links"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ask(r.public, sent.WithContext(ctx))
	if log := r.log.String(); strings.Contains(log, "request.failed") || !strings.Contains(log, `"outcome":"client_gone"`) {
		t.Errorf("logged: %s", log)
	}
}
