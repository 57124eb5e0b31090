package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/webhooks"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

const organization = "11111111-1111-4111-8111-111111111111"

var (
	now    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	stored = webhook.Endpoint{
		ID: "hook", URL: "https://hooks.example/a?b&c", Description: "ours", SecretName: "canary-name",
		Keys: []webhook.Key{{Version: "canary-2"}, {Version: "canary-1", Until: now.Add(time.Hour)}}, CreatedAt: now,
	}
	disabled = webhook.Endpoint{ID: "off", Keys: []webhook.Key{{Version: "v"}}, CreatedAt: now, DisabledAt: now, DisabledReason: "it answered 410 Gone"}
)

const (
	storedJSON = `{"id":"hook","url":"https://hooks.example/a?b&c","description":"ours","enabled":true,"disabledAt":null,"disabledReason":null,` +
		`"createdAt":"2026-11-23T10:00:00.000Z","overlapEndsAt":"2026-11-23T11:00:00.000Z","lastDelivery":null`
	disabledJSON = `{"id":"off","url":"","description":"","enabled":false,"disabledAt":"2026-11-23T10:00:00.000Z","disabledReason":"it answered 410 Gone",` +
		`"createdAt":"2026-11-23T10:00:00.000Z","lastDelivery":null}`
)

// service records the last call as text, and answers with stored.
type service struct {
	call  string
	patch webhook.Patch
	err   error
}

func (s *service) note(words ...any) { s.call = strings.TrimSuffix(fmt.Sprintln(words...), "\n") }

func (s *service) List(_ context.Context, organization string) ([]webhook.Endpoint, error) {
	s.note("list", organization)
	return []webhook.Endpoint{stored, disabled}, s.err
}

func (s *service) Get(_ context.Context, organization, id string) (webhook.Endpoint, error) {
	s.note("get", organization, id)
	return stored, s.err
}

func (s *service) Create(_ context.Context, organization string, n webhook.NewEndpoint) (webhook.Endpoint, secret.Value, error) {
	s.note("create", organization, n.URL, n.Description)
	return stored, secret.New("whsec_key"), s.err
}

func (s *service) Change(_ context.Context, organization, id string, p webhook.Patch) (webhook.Endpoint, error) {
	s.patch = p
	s.note("change", organization, id)
	return stored, s.err
}

func (s *service) Remove(_ context.Context, organization, id string) error {
	s.note("remove", organization, id)
	return s.err
}

func (s *service) Rotate(_ context.Context, organization, id string) (webhook.Endpoint, secret.Value, error) {
	s.note("rotate", organization, id)
	return stored, secret.New("whsec_key"), s.err
}

func (s *service) Test(_ context.Context, organization, id string) (notify.Event, notify.Result, error) {
	s.note("test", organization, id)
	return notify.Event{ID: "msg_1", Type: notify.WebhookTest}, notify.Result{Outcome: notify.Retry, Reason: "the endpoint answered 500"}, s.err
}

func handler(s *service) webhooks.Handler {
	return webhooks.Handler{Webhooks: s, Now: func() time.Time { return now }}
}

// call sends a handler a request for the id "hook".
func call(t *testing.T, handle httpx.HandlerFunc, body string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Organization: organization})
	r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.SetPathValue("id", "hook")
	w := httptest.NewRecorder()
	err := handle(w, r)
	return w, err
}

func TestAnswers(t *testing.T) {
	s := &service{}
	h := handler(s)
	for _, tt := range []struct {
		name   string
		handle httpx.HandlerFunc
		body   string
		status int
		want   string
		call   string
	}{
		{"list", h.List, "", 200, `{"webhooks":[` + storedJSON + `},` + disabledJSON + `]}`, "list " + organization},
		{"get", h.Get, "", 200, storedJSON + `}`, "get " + organization + " hook"},
		{"create", h.Create, `{"url":"u","description":"d"}`, 201, storedJSON + `,"signingSecret":"whsec_key"}`, "create " + organization + " u d"},
		{"patch", h.Patch, `{"url":"u"}`, 200, storedJSON + `}`, "change " + organization + " hook"},
		{"delete", h.Delete, "", 204, "", "remove " + organization + " hook"},
		{"rotate", h.Rotate, "", 200, storedJSON + `,"signingSecret":"whsec_key"}`, "rotate " + organization + " hook"},
		{"test", h.Test, "", 200, `{"id":"msg_1","type":"fhirlink.webhook.test","outcome":"retry","reason":"the endpoint answered 500"}`, "test " + organization + " hook"},
	} {
		w, err := call(t, tt.handle, tt.body)
		if got := strings.TrimSuffix(w.Body.String(), "\n"); err != nil || w.Code != tt.status || got != tt.want || s.call != tt.call {
			t.Errorf("%s: %v, %d, %s\n%s\n%s", tt.name, err, w.Code, s.call, got, tt.want)
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s tells where the key is kept: %s", tt.name, w.Body)
		}
		if w.Code == http.StatusCreated && w.Header().Get("Location") != "/api/webhooks/hook" {
			t.Errorf("%s: %v", tt.name, w.Header())
		}
		if strings.Contains(tt.want, "whsec_") && (w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache") {
			t.Errorf("%s: %v", tt.name, w.Header())
		}
	}
}

func TestPatch(t *testing.T) {
	s := &service{}
	if _, err := call(t, handler(s).Patch, `{"enabled":false,"description":""}`); err != nil {
		t.Fatal(err)
	}
	if p := s.patch; p.URL != nil || p.Description == nil || *p.Description != "" || p.Enabled == nil || *p.Enabled {
		t.Errorf("%+v", p)
	}
}

func TestRefuses(t *testing.T) {
	s := &service{}
	h := handler(s)
	for _, tt := range []struct {
		handle httpx.HandlerFunc
		body   string
		want   problem.Code
	}{
		{h.Create, ``, problem.MalformedBody},
		{h.Create, `[]`, problem.MalformedBody},
		{h.Create, `{"url":1}`, problem.MalformedBody},
		{h.Create, `{"URL":"u"}`, problem.MalformedBody},
		{h.Create, `{"url":"u","secret":"whsec_mine"}`, problem.MalformedBody},
		{h.Create, `{"url":"u","organization":"o"}`, problem.MalformedBody},
		{h.Patch, `{"enabled":"false"}`, problem.MalformedBody},
		{h.Patch, `{"id":"other"}`, problem.MalformedBody},
		{h.Patch, ``, problem.MalformedBody},
	} {
		if _, err := call(t, tt.handle, tt.body); problem.CodeOf(err) != tt.want || s.call != "" {
			t.Errorf("%s: %v, want %s", tt.body, err, tt.want)
		}
	}
}

func TestErrorsOfTheServicePass(t *testing.T) {
	missing := problem.New(problem.WebhookNotFound, "no")
	h := handler(&service{err: missing})
	for name, handle := range map[string]httpx.HandlerFunc{
		"list": h.List, "get": h.Get, "create": h.Create, "patch": h.Patch, "delete": h.Delete, "rotate": h.Rotate, "test": h.Test,
	} {
		if w, err := call(t, handle, "{}"); !errors.Is(err, missing) || w.Body.Len() > 0 {
			t.Errorf("%s: %v, written %s", name, err, w.Body)
		}
	}
}
