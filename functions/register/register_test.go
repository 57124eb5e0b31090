package register_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/register"
	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

const organization = "11111111-1111-4111-8111-111111111111"

// registrar returns preset values, and records what it was asked.
type registrar struct {
	result       link.Result
	err          error
	organization string
	asked        intake.Registration
}

func (s *registrar) Register(_ context.Context, organization string, r intake.Registration) (link.Result, error) {
	s.organization, s.asked = organization, r
	return s.result, s.err
}

func post(t *testing.T, h register.Handler, body string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Organization: organization})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/register", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	err := h.Register(w, r)
	return w, err
}

func TestRegister(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)
	expires, err := date.Parse("2027-05-01")
	if err != nil {
		t.Fatal(err)
	}
	stored := link.Link{
		Slug: "good-health-clinic", ID: "id", Description: "Good <Health> & Clinic", FHIRServerURL: "https://fhir.example",
		ClientID: "c", TenantID: "t", Audience: "a", Listed: true, Condition: condition.Condition{Health: condition.Active}, Revision: 1,
		Secret:    link.Secret{Name: "canary-name", Version: "canary-version", ExpiresOn: expires},
		CreatedAt: now, UpdatedAt: now, VerifiedAt: now,
	}
	links := &registrar{result: link.Result{Link: stored, Notes: []string{"n"}, Report: &verification.Report{Status: verification.Pass, Checks: []verification.Check{}}}}
	w, err := post(t, register.Handler{Links: links, Now: func() time.Time { return now }},
		`{"slug":"good-health-clinic","description":"d","fhirServerUrl":"u","clientId":"c","clientSecret":"canary","secretExpiresOn":"2027-05-01","tenantId":null,"listed":true}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"slug":"good-health-clinic","description":"Good <Health> & Clinic","fhirServerUrl":"https://fhir.example","clientId":"c","tenantId":"t","audience":"a","listed":true,` +
		`"contacts":null,"status":"active","problem":null,"recheckAt":null,"secret":{"expiresOn":"2027-05-01","daysLeft":159,"state":"ok","source":"typed"},` +
		`"createdAt":"2026-11-23T10:00:00.123Z","updatedAt":"2026-11-23T10:00:00.123Z","verifiedAt":"2026-11-23T10:00:00.123Z",` +
		`"etag":"\"` + strings.Trim(stored.ETag(), `"`) + `\"","notes":["n"],` +
		`"report":{"status":"pass","access":"","tenantId":"","audience":"","objectId":"","checks":[]}}` + "\n"
	if w.Code != http.StatusCreated || w.Body.String() != want {
		t.Errorf("%d\n%s\nwant\n%s", w.Code, w.Body, want)
	}
	if w.Header().Get("Location") != "/api/links/good-health-clinic" || w.Header().Get("ETag") != stored.ETag() || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v", w.Header())
	}
	asked := links.asked
	if links.organization != organization || asked.Slug != "good-health-clinic" || asked.Description != "d" || asked.FHIRServerURL != "u" || asked.ClientID != "c" ||
		asked.ClientSecret.Reveal() != "canary" || asked.SecretExpiresOn != "2027-05-01" || asked.TenantID != "" || asked.Audience != "" || !asked.Listed {
		t.Errorf("asked %q: %+v", links.organization, asked)
	}
}

func TestRegisterErrors(t *testing.T) {
	taken := problem.New(problem.SlugTaken, "taken")
	if w, err := post(t, register.Handler{Links: &registrar{err: taken}}, `{}`); !errors.Is(err, taken) || w.Body.Len() > 0 {
		t.Errorf("err = %v, written %s", err, w.Body)
	}
	links := &registrar{}
	for _, body := range []string{``, `[]`, `{"owner":"x"}`, `{"slug":1}`, `{"status":"active"}`, `{"secret":{}}`} {
		if _, err := post(t, register.Handler{Links: links}, body); problem.CodeOf(err) != problem.MalformedBody {
			t.Errorf("%s: %v", body, err)
		}
	}
	if links.organization != "" {
		t.Error("a malformed body reached the service")
	}
}
