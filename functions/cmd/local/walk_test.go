package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/config"
)

// daysLater restarts the program over the same folder, with its clock moved forward.
func daysLater(t *testing.T, folder, now string) *instance {
	t.Helper()
	o, err := parseOptions([]string{"-data", folder, "-now", now}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Local(lookup(nil))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProgram(o, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{p, httptest.NewServer(p.handler), t}
	t.Cleanup(i.stop)
	return i
}

// sweepOnce runs the timer once.
func (i *instance) sweepOnce() {
	i.t.Helper()
	if r, err := i.sweep.Run(i.t.Context()); err != nil || r.Skipped != "" || r.Failed > 0 {
		i.t.Fatalf("%v, %v", r, err)
	}
}

// notices returns what the sandbox's sink has received by webhook since the last call, as text.
func (i *instance) notices(before *int) (all []string) {
	i.t.Helper()
	data, err := json.Marshal(i.want(200, i.call("GET", "/sandbox/notifications", ""))["notifications"])
	if err != nil {
		i.t.Fatal(err)
	}
	var held []sandbox.Notification
	if err := json.Unmarshal(data, &held); err != nil {
		i.t.Fatal(err)
	}
	for _, n := range held {
		if n.Slug != "good-health-clinic" || n.ID == "" || n.Message == "" || n.Received != 1 {
			i.t.Errorf("a notification is %+v", n)
		}
		if n.Via == "webhook" {
			all = append(all, strings.TrimPrefix(string(n.Type), "fhirlink."))
		}
	}
	all, *before = all[*before:], len(all)
	return all
}

func (i *instance) secret() (status, state, source any) {
	i.t.Helper()
	l := i.want(200, i.call("GET", "/api/links/good-health-clinic", ""))
	s := l["secret"].(map[string]any)
	return l["status"], s["state"], s["source"]
}

// TestWalk takes a sandbox link from 61 days before its secret expires to the day after, and
// gives it a new secret. The sink shows the notifications on the way.
func TestWalk(t *testing.T) {
	folder := t.TempDir()
	today := time.Now().UTC()
	i := daysLater(t, folder, "")
	i.want(201, i.call("POST", "/api/webhooks", `{"url":"`+sandbox.WebhookURL+`"}`))
	i.want(201, i.call("POST", "/api/register", fmt.Sprintf(`{
		"slug": "good-health-clinic", "description": "Good Health Clinic", "fhirServerUrl": "https://clinic.fhir.sandbox.test/metadata",
		"clientId": %q, "clientSecret": %q, "secretExpiresOn": %q, "contacts": ["it@clinic.example"]
	}`, sandbox.ClientID, sandbox.Secret, today.AddDate(0, 0, 61).Format(time.DateOnly))))
	i.sweepOnce()
	notices := 0
	if got := i.notices(&notices); len(got) > 0 {
		t.Errorf("61 days before the end: %q", got)
	}
	i.stop()

	for _, day := range []int{1, 31, 47, 54, 58, 60, 61, 62} {
		i := daysLater(t, folder, fmt.Sprintf("+%dd", day))
		i.sweepOnce()
		want, status := "secret.expiring", "active"
		if day == 62 {
			want, status = "secret.expired", "expired"
		}
		if got := i.notices(&notices); !slices.Equal(got, []string{want}) {
			t.Errorf("on day %d: %q", day, got)
		}
		if got, _, _ := i.secret(); got != status {
			t.Errorf("on day %d the link is %v", day, got)
		}
		if a := i.call("POST", "/api/token", "grant_type=client_credentials&slug=good-health-clinic"); a.status != 200 {
			t.Errorf("on day %d: a token: %d %v", day, a.status, a.body) // the sandbox's own secret never expires
		}
		i.stop()
	}

	i = daysLater(t, folder, "+62d")
	i.want(200, i.call("PUT", "/api/links/good-health-clinic/secret", fmt.Sprintf(`{"clientSecret":%q,"secretExpiresOn":%q}`,
		sandbox.Secret, today.AddDate(0, 0, 400).Format(time.DateOnly)), "If-Match", "*"))
	i.sweepOnce()
	if got := i.notices(&notices); !slices.Equal(got, []string{"secret.rotated"}) {
		t.Errorf("after the new secret: %q", got)
	}
	if status, state, source := i.secret(); status != "active" || state != "ok" || source != "typed" {
		t.Errorf("after the new secret: %v, %v, %v", status, state, source)
	}
	events := i.want(200, i.call("GET", "/api/links/good-health-clinic/events?limit=200", ""))["events"].([]any)
	var actions []string
	for _, e := range events {
		actions = append(actions, e.(map[string]any)["action"].(string))
	}
	if actions[0] != "change_secret" || actions[len(actions)-1] != "register" || !slices.Contains(actions, "token") {
		t.Errorf("the trail has %q", actions)
	}
	i.stop()

	i = daysLater(t, folder, "+63d")
	i.sweepOnce()
	i.stop()
	i = daysLater(t, folder, "+64d")
	i.sweepOnce()
	if got := i.notices(&notices); len(got) > 0 || notices != 9 {
		t.Errorf("two days later there are new notices: %q; the sink has %d", got, notices)
	}
}

func TestAhead(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"": "2026-11-23T10:30:00Z", "+61d": "2027-01-23T10:30:00Z", "+36h": "2026-11-24T22:30:00Z", "+0d": "2026-11-23T10:30:00Z",
		"2027-05-01": "2027-05-01T10:30:00Z", "2026-11-23": "2026-11-23T10:30:00Z", "2027-05-01T08:00:00Z": "2027-05-01T08:00:00Z",
	} {
		a, err := parseAhead(text, now)
		if got := now.Add(time.Duration(a)).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"61d", "tomorrow", "+d", "+-1d", "-1d", "2026-11-22", "2026-11-23T10:29:00Z", "+733d", "2030-01-01", "+99999d", "+1w"} {
		if a, err := parseAhead(text, now); err == nil {
			t.Errorf("%q: %v", text, time.Duration(a))
		}
	}
}

// TestSinkShowsNothingWithoutASandbox: without a sandbox, the sink's path does not exist.
func TestSinkShowsNothingWithoutASandbox(t *testing.T) {
	c, err := config.Local(lookup(nil))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProgram(options{data: t.TempDir()}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{p, httptest.NewServer(p.handler), t}
	t.Cleanup(i.stop)
	i.want(404, i.call("GET", "/sandbox/notifications", ""))
}

// TestRehearsal: an outage can be rehearsed. Entra starts to refuse a secret that it has accepted, the
// link shows it, and is well again once the secret is accepted.
func TestRehearsal(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	status := func() (status, code any) {
		i.t.Helper()
		for _, c := range i.want(200, i.call("POST", "/api/verify", `{"slug":"good-health-clinic"}`))["checks"].([]any) {
			if c := c.(map[string]any); c["id"] == "token" {
				code = c["code"]
			}
		}
		return i.want(200, i.call("GET", "/api/links/good-health-clinic", ""))["status"], code
	}
	i.want(201, i.call("POST", "/api/register", registration("good-health-clinic", "clinic", sandbox.RevocableSecret)))
	for _, step := range []struct{ path, said, status, code string }{
		{"/sandbox/revoke", "refused", "broken", "aadsts_7000215"},
		{"/sandbox/restore", "accepted", "active", "ok"},
	} {
		if said := i.want(200, i.call("POST", step.path, ""))["revocableSecret"]; said != step.said {
			t.Errorf("%s: %v", step.path, said)
		}
		if status, code := status(); status != step.status || code != step.code {
			t.Errorf("after %s: %v, %v", step.path, status, code)
		}
	}
	i.want(403, i.call("POST", "/sandbox/revoke", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	i.want(404, i.call("GET", "/sandbox/revoke", ""))
}

// FuzzAhead: for any argument the clock moves forward, and by two years at most.
func FuzzAhead(f *testing.F) {
	for _, s := range []string{"", "+61d", "+36h", "2027-05-01", "2027-05-01T08:00:00Z", "-1d", "+9223372036854775807d", "+1e9h"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := parseAhead(s, now); err == nil && (a < 0 || time.Duration(a) > maxAhead) {
			t.Errorf("%q moves the clock by %v", s, time.Duration(a))
		}
	})
}
