package links_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/links"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

const organization = "11111111-1111-4111-8111-111111111111"

var (
	now    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	stored = link.Link{Slug: "clinic", ID: "id", Condition: condition.Condition{
		Health: condition.Broken, NextVerify: now.Add(time.Hour),
		Problem: &condition.Problem{Check: "read", Code: "fhir_403_rbac", Message: "m", Fix: "f", Command: "az x", Since: now},
	}, Revision: 3, CreatedAt: now, UpdatedAt: now}
)

// service records the last call as text, and answers with stored.
type service struct {
	call   string
	patch  intake.Patch
	secret intake.NewSecret
	report *verification.Report
	err    error
}

func (s *service) List(_ context.Context, organization string, f link.Filter, limit int, after string) ([]link.Link, string, error) {
	days := "any"
	if f.ExpiringWithin != nil {
		days = fmt.Sprint(*f.ExpiringWithin)
	}
	s.call = fmt.Sprintf("list %s %d %q status %q state %q days %s", organization, limit, after, f.Status, f.SecretState, days)
	return []link.Link{stored}, "next", s.err
}

func (s *service) Events(_ context.Context, organization, slug string, limit int, after string) ([]trail.Event, string, error) {
	s.call = fmt.Sprintf("events %s %s %d %q", organization, slug, limit, after)
	return []trail.Event{
		{ID: "1", At: now, Action: trail.Registered, Outcome: "ok", By: trail.Actor{Organization: organization, ObjectID: "oid", AppID: "azp"}, LinkID: "canary"},
		{ID: "2", At: now, Action: trail.TokenIssued, Outcome: "aadsts_7000222", By: trail.Actor{Organization: organization, AppID: "azp", App: true}},
		{ID: "3", At: now, Action: trail.Retired, Outcome: "ok"},
	}, "next", s.err
}

func (s *service) Report(_ context.Context, organization, slug string) (lastreport.Report, error) {
	s.call = fmt.Sprintf("report %s %s", organization, slug)
	return lastreport.Report{LinkID: "canary", At: now, By: lastreport.Service, Report: verification.Report{
		Status: verification.Pass, Access: verification.Read, Checks: []verification.Check{{ID: "read", Status: verification.Pass, Code: "ok"}},
	}}, s.err
}

func (s *service) Get(_ context.Context, organization, slug string) (link.Link, error) {
	s.call = fmt.Sprintf("get %s %s", organization, slug)
	return stored, s.err
}

func (s *service) Patch(_ context.Context, organization, slug, ifMatch string, p intake.Patch) (link.Result, error) {
	s.call, s.patch = fmt.Sprintf("patch %s %s %s", organization, slug, ifMatch), p
	return link.Result{Link: stored, Report: s.report}, s.err
}

func (s *service) SetSecret(_ context.Context, organization, slug, ifMatch string, n intake.NewSecret) (link.Result, error) {
	s.call, s.secret = fmt.Sprintf("secret %s %s %s", organization, slug, ifMatch), n
	return link.Result{Link: stored, Report: s.report}, s.err
}

func (s *service) Delete(_ context.Context, organization, slug, ifMatch string) error {
	s.call = fmt.Sprintf("delete %s %s %s", organization, slug, ifMatch)
	return s.err
}

func handler(s *service) links.Handler {
	return links.Handler{Links: s, Now: func() time.Time { return now }}
}

// call sends a handler a request for the slug "clinic".
func call(t *testing.T, handle httpx.HandlerFunc, target, body string, ifMatch ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Organization: organization})
	r := httptest.NewRequestWithContext(ctx, "POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header["If-Match"] = ifMatch
	r.SetPathValue("slug", "clinic")
	w := httptest.NewRecorder()
	err := handle(w, r)
	return w, err
}

// linkJSON is the answer for stored, without its last brace.
var linkJSON = `{"slug":"clinic","description":"","fhirServerUrl":"","clientId":"","tenantId":"","audience":"","listed":false,"contacts":null,"status":"broken",` +
	`"problem":{"check":"read","code":"fhir_403_rbac","message":"m","fix":"f","command":"az x","since":"2026-11-23T10:00:00.000Z"},"recheckAt":"2026-11-23T11:00:00.000Z",` +
	`"secret":{"expiresOn":null,"daysLeft":null,"state":"unknown"},"createdAt":"2026-11-23T10:00:00.000Z","updatedAt":"2026-11-23T10:00:00.000Z",` +
	`"etag":"\"` + strings.Trim(stored.ETag(), `"`) + `\""`

func TestGet(t *testing.T) {
	s := &service{}
	w, err := call(t, handler(s).Get, "/", "")
	if err != nil || w.Code != 200 || w.Body.String() != linkJSON+"}\n" || w.Header().Get("ETag") != stored.ETag() {
		t.Errorf("%v, %d %v %s", err, w.Code, w.Header(), w.Body)
	}
	if s.call != "get "+organization+" clinic" {
		t.Error(s.call)
	}
}

func TestList(t *testing.T) {
	const all = ` status "" state "" days any`
	tests := []struct{ query, call string }{
		{"", `50 ""` + all},
		{"?limit=1", `1 ""` + all},
		{"?limit=200&continue=abc", `200 "abc"` + all},
		{"?continue=", `50 ""` + all},
		{"?expiringWithin=30d", `50 "" status "" state "" days 30`},
		{"?expiringWithin=0d&limit=2&continue=x", `2 "x" status "" state "" days 0`},
		{"?expiringWithin=731d", `50 "" status "" state "" days 731`},
		{"?status=pending_access", `50 "" status "pending_access" state "" days any`},
		{"?status=expired&secretState=expired", `50 "" status "expired" state "expired" days any`},
	}
	for _, tt := range tests {
		s := &service{}
		w, err := call(t, handler(s).List, "/api/links"+tt.query, "")
		if want := `{"links":[` + linkJSON + `}],"continue":"next"}` + "\n"; err != nil || w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %v, %d %s", tt.query, err, w.Code, w.Body)
		}
		if want := "list " + organization + " " + tt.call; s.call != want {
			t.Errorf("%s: %s, want %s", tt.query, s.call, want)
		}
	}
}

func TestEvents(t *testing.T) {
	s := &service{}
	w, err := call(t, handler(s).Events, "/api/links/clinic/events?limit=3&continue=x", "")
	want := `{"events":[` +
		`{"id":"1","at":"2026-11-23T10:00:00.000Z","action":"register","outcome":"ok","by":{"kind":"user","organization":"` + organization + `","objectId":"oid","appId":"azp"}},` +
		`{"id":"2","at":"2026-11-23T10:00:00.000Z","firstAt":"2026-11-23T10:00:00.000Z","action":"token","outcome":"aadsts_7000222","by":{"kind":"application","organization":"` + organization + `","appId":"azp"}},` +
		`{"id":"3","at":"2026-11-23T10:00:00.000Z","action":"retire_previous","outcome":"ok","by":{"kind":"service"}}],"continue":"next"}` + "\n"
	if err != nil || w.Code != 200 || w.Body.String() != want || s.call != "events "+organization+` clinic 3 "x"` {
		t.Errorf("%v, %d %s, %s", err, w.Code, w.Body, s.call)
	}
	if _, err := call(t, handler(s).Events, "/api/links/clinic/events?limit=0", ""); problem.CodeOf(err) != problem.InvalidFields {
		t.Error(err)
	}
}

func TestReport(t *testing.T) {
	s := &service{}
	w, err := call(t, handler(s).Report, "/api/links/clinic/report", "")
	want := `{"at":"2026-11-23T10:00:00.000Z","by":"service","report":{"status":"pass","access":"read","tenantId":"","audience":"","objectId":"","checks":[` +
		`{"id":"read","title":"","status":"pass","code":"ok","message":"","fix":"","durationMs":0}]}}` + "\n"
	if err != nil || w.Code != 200 || w.Body.String() != want || s.call != "report "+organization+" clinic" {
		t.Errorf("%v, %d %s, %s", err, w.Code, w.Body, s.call)
	}
	s.err = problem.New(problem.ReportNotFound, "none")
	if _, err := call(t, handler(s).Report, "/", ""); problem.CodeOf(err) != problem.ReportNotFound {
		t.Error(err)
	}
}

func TestListRefuses(t *testing.T) {
	tests := []struct{ query, field string }{
		{"?limit=201", "limit"},
		{"?status=well", "status"},
		{"?status=", "status"},
		{"?secretState=active", "secretState"},
		{"?limit=0", "limit"},
		{"?limit=-1", "limit"},
		{"?limit=", "limit"},
		{"?limit=1e2", "limit"},
		{"?limit=many", "limit"},
		{"?limit=99999999999999999999", "limit"},
		{"?limit=+5", "limit"},
		{"?limit=%2B5", "limit"},
		{"?limit=05", "limit"},
		{"?limit=5%20", "limit"},
		{"?limit=%zz", "query"},
		{"?limit=5;x=1", "limit"},
		{"?limit=5&code=%zz", "query"},
		{"?limit=1&limit=2", "limit"},
		{"?continue=a&continue=b", "continue"},
		{"?expiringWithin=30", "expiringWithin"},
		{"?expiringWithin=", "expiringWithin"},
		{"?expiringWithin=d", "expiringWithin"},
		{"?expiringWithin=-1d", "expiringWithin"},
		{"?expiringWithin=030d", "expiringWithin"},
		{"?expiringWithin=732d", "expiringWithin"},
		{"?expiringWithin=4w", "expiringWithin"},
		{"?expiringWithin=1d&expiringWithin=2d", "expiringWithin"},
	}
	for _, tt := range tests {
		s := &service{}
		_, err := call(t, handler(s).List, "/api/links"+tt.query, "")
		var told *problem.Error
		if !errors.As(err, &told) || told.Code != problem.InvalidFields || len(told.Fields) != 1 || told.Fields[0].Field != tt.field || s.call != "" {
			t.Errorf("%s: %v", tt.query, err)
		}
	}
}

func TestPatch(t *testing.T) {
	s := &service{report: &verification.Report{Checks: []verification.Check{}}}
	w, err := call(t, handler(s).Patch, "/", `{"description":"d","secretExpiresOn":null,"clientSecret":"s"}`, `"a"`, `"b"`)
	want := linkJSON + `,"notes":[],"report":{"status":"","access":"","tenantId":"","audience":"","objectId":"","checks":[]}}` + "\n"
	if err != nil || w.Code != 200 || w.Body.String() != want || w.Header().Get("ETag") != stored.ETag() {
		t.Errorf("%v, %d %v %s", err, w.Code, w.Header(), w.Body)
	}
	p := s.patch
	if s.call != "patch "+organization+` clinic "a", "b"` || p.Description == nil || *p.Description != "d" || p.Listed != nil ||
		!p.SecretExpiresOn.Present || p.SecretExpiresOn.Value != nil || p.ClientSecret.Reveal() != "s" || p.FHIRServerURL != nil {
		t.Errorf("%s %+v", s.call, p)
	}
}

// A null leaves a field as it is, except where it clears it.
func TestPatchNulls(t *testing.T) {
	s := &service{}
	if _, err := call(t, handler(s).Patch, "/", `{"description":null,"listed":null,"clientId":null,"clientSecret":null,"contacts":null,"secretExpiresOn":null}`, "*"); err != nil {
		t.Fatal(err)
	}
	if p := s.patch; p.Description != nil || p.Listed != nil || p.ClientID != nil || !p.ClientSecret.IsZero() ||
		!p.Contacts.Present || p.Contacts.Value != nil || !p.SecretExpiresOn.Present || p.SecretExpiresOn.Value != nil {
		t.Errorf("%+v", p)
	}
}

func TestPatchRefuses(t *testing.T) {
	s := &service{}
	for body, want := range map[string]problem.Code{
		`{"slug":"other"}`:                 problem.MalformedBody,
		`{"organization":"other"}`:         problem.MalformedBody,
		`{"secretExpiresOn":20270501}`:     problem.MalformedBody,
		`{"listed":"true"}`:                problem.MalformedBody,
		`{"SecretExpiresOn":"2027-05-01"}`: problem.MalformedBody,
		``:                                 problem.MalformedBody,
	} {
		if _, err := call(t, handler(s).Patch, "/", body, "*"); problem.CodeOf(err) != want || s.call != "" {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestSetSecret(t *testing.T) {
	s := &service{}
	w, err := call(t, handler(s).SetSecret, "/", `{"clientSecret":"s","secretExpiresOn":"2027-05-01"}`, "*")
	if err != nil || w.Code != 200 || w.Body.String() != linkJSON+`,"notes":[]}`+"\n" || w.Header().Get("ETag") != stored.ETag() {
		t.Errorf("%v, %d %v %s", err, w.Code, w.Header(), w.Body)
	}
	if s.call != "secret "+organization+" clinic *" || s.secret.ClientSecret.Reveal() != "s" || s.secret.SecretExpiresOn != "2027-05-01" {
		t.Errorf("%s %+v", s.call, s.secret)
	}
	for _, body := range []string{``, `{"slug":"x"}`, `{"clientSecret":{}}`} {
		s.call = ""
		if _, err := call(t, handler(s).SetSecret, "/", body, "*"); problem.CodeOf(err) != problem.MalformedBody || s.call != "" {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestDelete(t *testing.T) {
	s := &service{}
	w, err := call(t, handler(s).Delete, "/", "")
	if err != nil || w.Code != http.StatusNoContent || w.Body.Len() > 0 || s.call != "delete "+organization+" clinic " {
		t.Errorf("%v, %d %s, %s", err, w.Code, w.Body, s.call)
	}
}

func TestErrorsOfTheServicePass(t *testing.T) {
	stale := problem.New(problem.ChangedMeanwhile, "stale")
	h := handler(&service{err: stale})
	for name, handle := range map[string]httpx.HandlerFunc{"list": h.List, "get": h.Get, "patch": h.Patch, "secret": h.SetSecret, "delete": h.Delete, "events": h.Events} {
		if w, err := call(t, handle, "/", "{}"); !errors.Is(err, stale) || w.Body.Len() > 0 {
			t.Errorf("%s: %v, written %s", name, err, w.Body)
		}
	}
}
