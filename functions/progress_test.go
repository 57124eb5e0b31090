package functions_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/verification"
)

// event is a line of a stream.
type event struct {
	Event   string             `json:"event"`
	Checks  []string           `json:"checks"`
	ID      string             `json:"id"`
	Check   verification.Check `json:"check"`
	Status  int                `json:"status"`
	Headers map[string]string  `json:"headers"`
	Body    json.RawMessage    `json:"body"`
}

// stream reads a stream and checks its form: start, then each check exactly once, after the event
// that it runs, then end.
func stream(t *testing.T, a answer) (end event) {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	var events []event
	for line := range strings.Lines(a.body) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	ids := verification.CheckIDs()
	if events[0].Event != "start" || !slices.Equal(events[0].Checks, ids) || events[len(events)-1].Event != "end" {
		t.Fatalf("%s", a.body)
	}
	running, done := map[string]bool{}, map[string]bool{}
	for _, e := range events[1 : len(events)-1] {
		switch e.Event {
		case "running":
			running[e.ID] = true
		case "check":
			if ran := e.Check.Status != verification.Skipped && e.Check.ID != verification.CheckFields; done[e.Check.ID] || running[e.Check.ID] != ran || e.Check.Title == "" {
				t.Errorf("%+v", e.Check)
			}
			done[e.Check.ID] = true
		default:
			t.Errorf("%+v", e)
		}
	}
	if len(done) != len(ids) {
		t.Errorf("checks %v, want each of %v", done, ids)
	}
	return events[len(events)-1]
}

// TestProgress: a client that accepts NDJSON sees the checks as they come, and at the end exactly the
// answer that it would have got.
func TestProgress(t *testing.T) {
	r := newRig(t)
	events := http.Header{"Accept": {"application/x-ndjson"}, "If-Match": {"*"}}
	ask := func(method, target, body string) answer {
		t.Helper()
		a := r.send(t, request{caller: manager(orgA), method: method, target: target, body: body, header: events})
		if strings.Contains(a.body, "canary") {
			t.Errorf("%s %s shows the secret", method, target)
		}
		return a
	}
	members := func(e event) map[string]any {
		t.Helper()
		var body map[string]any
		if err := json.Unmarshal(e.Body, &body); err != nil {
			t.Fatalf("%v: %s", err, e.Body)
		}
		return body
	}

	end := stream(t, ask("POST", "/api/register", registration("good-health-clinic", "clinic", clientSecret)))
	link := members(end)
	if end.Status != http.StatusCreated || end.Headers["Location"] != "/api/links/good-health-clinic" || end.Headers["ETag"] != link["etag"] ||
		end.Headers["X-Correlation-Id"] == "" || link["status"] != "active" || link["report"] == nil {
		t.Errorf("%+v %v", end, link)
	}
	end = stream(t, ask("POST", "/api/register", registration("other-clinic", "html", clientSecret)))
	if body := members(end); end.Status != http.StatusUnprocessableEntity || body["code"] != "verification_failed" || body["instance"] != "urn:uuid:"+end.Headers["X-Correlation-Id"] {
		t.Errorf("%+v", end)
	}
	end = stream(t, ask("POST", "/api/register", registration("other-clinic", "down", clientSecret)))
	if end.Status != http.StatusServiceUnavailable || end.Headers["Retry-After"] == "" {
		t.Errorf("%+v", end)
	}
	if end = stream(t, ask("POST", "/api/verify", `{"slug":"good-health-clinic"}`)); end.Status != http.StatusOK || members(end)["status"] == "" {
		t.Errorf("%+v", end)
	}
	rehearsed := registration("other-clinic", "norole", clientSecret)
	if end = stream(t, ask("POST", "/api/verify", rehearsed)); end.Status != http.StatusOK || members(end)["status"] != "fail" {
		t.Errorf("%+v", end)
	}
	end = stream(t, ask("PATCH", "/api/links/good-health-clinic", `{"audience":"https://clinic.fhir.sandbox.test","clientSecret":"`+clientSecret+`"}`))
	if end.Status != http.StatusOK || end.Headers["ETag"] == "" {
		t.Errorf("%+v", end)
	}
	end = stream(t, ask("PUT", "/api/links/good-health-clinic/secret", `{"clientSecret":"`+expiredSecret+`"}`))
	if body := members(end); end.Status != http.StatusUnprocessableEntity || body["code"] != "verification_failed" {
		t.Errorf("%+v", end)
	}

	// The log has the status that the answer would have had.
	for _, status := range []string{`"status":201`, `"status":422`, `"status":503`} {
		if !strings.Contains(r.log.String(), status) {
			t.Errorf("no line of the log has %s", status)
		}
	}

	// What is known before the first check is answered as ever.
	ask("POST", "/api/register", `{}`).want(t, http.StatusUnprocessableEntity, "invalid_fields")
	ask("POST", "/api/register", `{`).want(t, http.StatusBadRequest, "malformed_body")
	ask("POST", "/api/register", registration("good-health-clinic", "clinic", clientSecret)).want(t, http.StatusConflict, "slug_taken")
	ask("POST", "/api/verify", `{"slug":"no-clinic"}`).want(t, http.StatusNotFound, "link_not_found")
	ask("PATCH", "/api/links/good-health-clinic", `{"listed":true}`).want(t, http.StatusOK, "")
	r.send(t, request{method: "POST", target: "/api/register", body: `{}`, header: events}).want(t, http.StatusUnauthorized, "unauthenticated")
}
