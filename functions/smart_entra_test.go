package functions_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/notify"
)

// TestSecretOfAnApp: when the secret of an app's own application has expired, or Entra knows it no longer, no grant
// ends, people are told of the app, and the link goes on working. A new secret makes everything good again.
func TestSecretOfAnApp(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		secretOfAnApp(t, condition.Expired, notify.SecretExpired, func(_ *rig, app entratest.App) { app.Secrets[0].ExpiresOn = time.Now().Add(-time.Minute) })
	})
	t.Run("removed", func(t *testing.T) {
		secretOfAnApp(t, condition.Broken, notify.LinkBroken, func(r *rig, _ entratest.App) {
			r.entra.Removed = func(value string) bool { return value == chartSecret }
		})
	})
}

func secretOfAnApp(t *testing.T, status condition.Status, told notify.Type, ends func(*rig, entratest.App)) {
	t.Helper()
	r := newRig(t)
	r.register(t, orgA, "clinic")
	r.send(t, request{caller: manager(orgA), method: "PUT", target: "/api/links/clinic/smart", body: `{"tokens":"entra"}`, header: http.Header{"If-None-Match": {"*"}}}).want(t, http.StatusCreated, "")
	made := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps", body: `{"clientId":"growth-chart","name":"Growth Chart","type":"public","redirectUris":["https://app.example/cb"],
		"scopes":["openid","fhirUser","launch/patient","offline_access","patient/*.rs","patient/Observation.rs?category=x"],"entra":{"clientId":"` + chartID + `","clientSecret":"` + chartSecret + `"}}`})
	made.want(t, http.StatusCreated, "")
	person := browser.NewPerson(browser.Serve(r.public), publicURL, browser.New(r.entra, browserEntra, publicURL, audience))
	back := standalone(t, person, "pat", appRequest())
	location, err := url.Parse(back.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	a := r.appToken(t, url.Values{"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {appVerifier}}, nil)
	a.want(t, http.StatusOK, "")
	if a.field(t, "scope") != appRequest().Get("scope") || a.field(t, "patient") != "p-1" {
		t.Error(a.body)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.field(t, "refresh_token").(string)}}

	app, _ := r.entra.App(orgA, chartID)
	ends(r, app)
	r.appToken(t, refresh, nil).want(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	registration := r.registrationOf(t, "growth-chart")
	if registration.Status(time.Now()) != status || len(registration.Notices) == 0 || registration.Notices[len(registration.Notices)-1].Type != told {
		t.Errorf("the registration is %s, and there are %d notices", registration.Status(time.Now()), len(registration.Notices))
	}
	l := r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links/clinic"})
	if l.field(t, "status") != "active" {
		t.Errorf("the link: %s", l.body)
	}
	const next = "canary~next/secret+of=the&chart%"
	r.entra.Removed = nil
	app.Secrets[0] = entratest.Secret{Value: next}
	changed := r.send(t, request{caller: manager(orgA), method: "PATCH", target: "/api/links/clinic/apps/growth-chart", body: `{"entra":{"clientSecret":"` + next + `"}}`, header: http.Header{"If-Match": {"*"}}})
	changed.want(t, http.StatusOK, "")
	again := r.appToken(t, refresh, nil)
	again.want(t, http.StatusOK, "")
	for what, text := range map[string]string{"the log": r.log.String(), "an answer": made.body + changed.body + again.body} {
		if strings.Contains(text, "canary~") {
			t.Errorf("%s has a secret", what)
		}
	}
}

// registrationOf is the row of an app's registration.
func (r *rig) registrationOf(t *testing.T, app string) (found link.Link) {
	t.Helper()
	a, _, err := r.deps.SMART.App(t.Context(), orgA, "clinic", app)
	if err != nil || a.Registration.Row.App != app {
		t.Fatal(err)
	}
	return a.Registration.Row
}
