package functions_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// accessLine is the log line that each request gets.
type accessLine struct {
	Msg, Route, Outcome, Finding string
	Status                       int
}

// line returns the access line of the latest request.
func (r *rig) line(t *testing.T) (last accessLine) {
	t.Helper()
	for text := range strings.Lines(r.log.String()) {
		var l accessLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if l.Msg == "request" {
			last = l
		}
	}
	return last
}

// The workbook and the alerts count refusals by their codes, and findings about a link by the
// code of the check.
func TestOutcomesInTheLog(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	manage := func(method, target, body string) request {
		return request{caller: manager(orgA), method: method, target: target, body: body, header: http.Header{"If-Match": {"*"}}}
	}
	grant := func(c claims, body string) request {
		return request{caller: c, method: "POST", target: "/api/token", contentType: formType, body: body}
	}
	tests := []struct {
		name             string
		request          request
		status           int
		outcome, finding string
	}{
		{"well", manage("GET", "/api/links", ""), 200, "ok", ""},
		{"a preflight", manage("OPTIONS", "/api/links", ""), 204, "ok", ""},
		{"a token", grant(broker(orgA), "grant_type=client_credentials&slug=good-health-clinic"), 200, "ok", ""},
		{"a report without findings", manage("POST", "/api/verify", `{"slug":"good-health-clinic"}`), 200, "ok", ""},
		{"a report with findings", manage("POST", "/api/verify", registration("other-clinic", "html", clientSecret)), 200, "ok", "metadata_html"},
		{"a warning", manage("POST", "/api/verify", registration("other-clinic", "readonly", clientSecret)), 200, "ok", "write_403"},
		{"a link that fails", manage("POST", "/api/register", registration("other-clinic", "clinic", "wrong~secret")), 422, "verification_failed", "aadsts_7000215"},
		{"a link that waits for its role", manage("POST", "/api/register", registration("norole-clinic", "norole", clientSecret)), 201, "ok", "fhir_403_rbac"},
		{"a link that only reads", manage("POST", "/api/register", strings.Replace(registration("readonly-clinic", "readonly", clientSecret), inDays(300), "", 1)), 201, "ok", "write_403"},
		{"a new secret of it", manage("PUT", "/api/links/readonly-clinic/secret", `{"clientSecret":"`+clientSecret+`"}`), 200, "ok", "write_403"},
		{"a change of it", manage("PATCH", "/api/links/readonly-clinic", `{"listed":true}`), 200, "ok", ""},
		{"a server that is down", manage("POST", "/api/register", registration("other-clinic", "down", clientSecret)), 503, "upstream_unavailable", "fhir_5xx"},
		{"mistakes in fields", manage("POST", "/api/register", `{"slug":"x"}`), 422, "invalid_fields", ""},
		{"no such link", manage("GET", "/api/links/no-clinic", ""), 404, "link_not_found", ""},
		{"no such path", manage("GET", "/api/nothing", ""), 404, "not_found", ""},
		{"no such method", manage("PUT", "/api/register", ""), 405, "method_not_allowed", ""},
		{"nobody", request{method: "GET", target: "/api/links"}, 401, "unauthenticated", ""},
		{"no right", grant(manager(orgA), "grant_type=client_credentials&slug=good-health-clinic"), 403, "insufficient_scope", ""},
		{"another grant", grant(broker(orgA), "grant_type=password&slug=good-health-clinic"), 400, "unsupported_grant_type", ""},
		{"a slug of nobody", grant(broker(orgA), "grant_type=client_credentials&slug=no-clinic"), 400, "invalid_target", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := r.send(t, tt.request)
			if got := r.line(t); a.status != tt.status || got.Status != tt.status || got.Outcome != tt.outcome || got.Finding != tt.finding {
				t.Errorf("answered %d, logged %+v, want %d %s %s", a.status, got, tt.status, tt.outcome, tt.finding)
			}
		})
	}
	r.secrets.Fault = func(op, _ string, _ bool) error {
		if op == "Get" {
			panic("canary")
		}
		return nil
	}
	r.send(t, manage("POST", "/api/verify", `{"slug":"good-health-clinic"}`))
	if got := r.line(t); got.Status != 500 || got.Outcome != "internal" {
		t.Errorf("a panic: %+v", got)
	}
}

// A refusal of a link's credentials by Entra is a finding of the token request.
func TestRefusedCredentialsInTheLog(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	r.entra.Before = r.entra.Refuse(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided.")
	r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", body: `{"slug":"good-health-clinic"}`}).want(t, 400, "invalid_grant")
	if got := r.line(t); got.Outcome != "invalid_grant" || got.Finding != "aadsts_7000215" {
		t.Errorf("%+v", got)
	}
}
