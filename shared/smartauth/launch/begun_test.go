package launch

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"fhirlink/shared/smartauth/handle"
)

// TestBegunRequest: everything that the answer to an app depends on is kept as it was sent.
func TestBegunRequest(t *testing.T) {
	r, _ := patientApp(t)
	r.create(t, `{"clientId":"two","name":"Two","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid"],"authorizationResponseIss":true}`)
	settings, err := r.smart.Settings(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	app, _ := settings.App("two")
	const state, nonce = "a\xff\x00b", "n\xff"
	begun, err := r.Authorize(t.Context(), slug, url.Values{
		"response_type": {"code"}, "client_id": {"two"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid email"}, "state": {state}, "nonce": {nonce}, "aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := handle.Look[request](t.Context(), r.handles(), handle.Request, handle.Handle(begun.Cookie.Value), "id-1")
	if err != nil || kept.SettingsID != settings.Settings.ID || kept.AppID != app.ID || kept.ClientID != "two" || kept.RedirectURI != "https://app.example/cb" || string(kept.State) != state || string(kept.Nonce) != nonce || kept.Challenge != challenge ||
		strings.Join(kept.Scopes, " ") != "openid" || kept.Audience != "https://clinic.example/fhir" || kept.Issuer != "https://links.example.org/api/smart/clinic" || len(kept.EntraVerifier) != 43 || !strings.Contains(begun.URL, "nonce="+kept.EntraNonce) {
		t.Errorf("%v", err)
	}

	form := url.Values{"client_secret": {"canary"}, "client_assertion": {"canary"}, "refresh_token": {"canary"}}
	asks := asked{server: server{}, app: app, form: form}
	token := upstreamToken{Access: "canary"}
	secrets := []any{
		kept, begun, User{Name: "canary"}, Grant{ID: "canary"}, token, &token, code{Refresh: "canary", Upstream: token}, boxed{Refresh: "canary", Upstream: token}, asks, &asks, refreshing{asked: asks, grant: grantRow{Box: "canary"}},
	}
	for _, value := range secrets {
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		if !strings.Contains(log.String(), `"value":"[redacted]"`) || strings.Contains(log.String(), "canary") {
			t.Errorf("the log of a %T has %s", value, log.String())
		}
	}
	for _, value := range append(secrets, secrets, []upstreamToken{token}, []asked{asks}) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "canary") || strings.Contains(text, kept.EntraVerifier) || strings.Contains(text, "login.example") {
				t.Errorf("%s of a %T is %s", verb, value, text)
			}
		}
	}
}
