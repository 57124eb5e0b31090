package verification

import (
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
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

// TestForeignAudienceIsNotAdvised: the fix never tells people to take another service's audience
// from a server, which would get a token for that service.
func TestForeignAudienceIsNotAdvised(t *testing.T) {
	server, _, mistake := fhir.ParseBaseURL("https://fhir.example.org/r4", false)
	if mistake != nil {
		t.Fatal(mistake)
	}
	for named, advised := range map[string]bool{
		"https://fhir.example.org/r4": true, "https://graph.microsoft.com": false, "https://clinic.example.com/fhir": false, "api://33333333-3333-4333-8333-333333333333": false,
		"00000003-0000-0000-c000-000000000000": false,
	} {
		r := &run{Target: Target{Server: server, Audience: "https://other.example.org"}, facts: map[string]string{}}
		if code := r.decideAudience(fhir.Challenge{Params: map[string]string{"resource_id": named}}); code != "" {
			t.Fatalf("%s: %s", named, code)
		}
		fix := r.facts["{audienceFix}"]
		if strings.Contains(fix, "or set it to "+named) != advised || !advised && !strings.Contains(fix, "only if") {
			t.Errorf("%s: %q", named, fix)
		}
	}
}
