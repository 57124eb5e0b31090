package verification

import (
	"testing"
	"time"

	"fhirlink/shared/entra"
)

// TestGUIDAudience: a token for an audience that is a GUID has that GUID as aud, in one of the
// spellings of Entra; another API's token is not taken.
func TestGUIDAudience(t *testing.T) {
	const (
		api, other = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
		uri        = "https://fhir.example.org/r4"
	)
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		asked, version, aud string
		ok                  bool
	}{
		{api, "2.0", api, true},
		{api, "2.0", "33333333-3333-4333-8333-333333333333", true},
		{api, "2.0", other, false},
		{api, "1.0", api, true},
		{api, "1.0", "spn:" + api, true},
		{api, "1.0", "api://" + api, true},
		{api, "1.0", "api://" + api + "/", true},
		{api, "1.0", "api://" + other, false},
		{api, "1.0", uri, false},
		{"api://" + api, "1.0", "api://" + api, true},
		{"api://" + api, "2.0", api, true},
		{"api://" + api, "1.0", api, false},
		{uri, "1.0", uri, true},
		{uri, "2.0", api, true},
		{uri, "1.0", api, false},
	} {
		r := &run{Target: Target{TenantID: "t", ClientID: "c", Audience: c.asked}, now: func() time.Time { return now }}
		claims := entra.Claims{Version: c.version, Audience: []string{c.aud}, TenantID: "t", AppID: "c", Expires: now.Add(time.Hour)}
		if code := r.claimsCode(claims); (code == "") != c.ok || code != "" && code != "token_aud" {
			t.Errorf("asked %s, version %s, aud %s: %q", c.asked, c.version, c.aud, code)
		}
	}
}
