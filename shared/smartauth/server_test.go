package smartauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/signer"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/store"
)

func TestMetadata(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink","context":{"smartStyleUrl":"https://a.example/style","needPatientBanner":false}}`)
	found := func() smartauth.Metadata {
		t.Helper()
		m, err := d.Metadata(t.Context(), slug)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := found(); len(m.Scopes) != 0 || !slices.Equal(m.Capabilities, []string{"launch-ehr", "launch-standalone", "authorize-post", "context-ehr-patient", "context-ehr-encounter", "context-banner", "context-style", "context-standalone-patient", "permission-v1", "permission-v2"}) {
		t.Errorf("without apps: %+v", m)
	}
	d.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/"],"scopes":["patient/*.rs","openid","online_access"]}`)
	d.create(t, `{"clientId":"two","name":"Two","type":"symmetric","redirectUris":["https://app.example/"],"scopes":["user/Observation.read","openid","offline_access","launch/patient"]}`)
	off, _ := d.create(t, `{"clientId":"off","name":"Off","type":"public","redirectUris":["https://app.example/"],"scopes":["email"],"enabled":false}`)
	text, err := json.Marshal(found())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"issuer":"https://links.example.org/api/smart/clinic","jwks_uri":"https://links.example.org/api/smart/clinic/jwks","authorization_endpoint":"https://links.example.org/api/smart/clinic/authorize",` +
		`"token_endpoint":"https://links.example.org/api/smart/clinic/token","revocation_endpoint":"https://links.example.org/api/smart/clinic/revoke","response_types_supported":["code"],"response_modes_supported":["query"],` +
		`"grant_types_supported":["authorization_code","refresh_token"],"code_challenge_methods_supported":["S256"],"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"],` +
		`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"],"claims_supported":["iss","sub","aud","exp","iat","nonce","fhirUser","name","preferred_username","email"],` +
		`"scopes_supported":["launch/patient","offline_access","online_access","openid","patient/*.rs","user/Observation.read"],` +
		`"capabilities":["launch-ehr","launch-standalone","authorize-post","client-public","client-confidential-symmetric","sso-openid-connect","context-ehr-patient","context-ehr-encounter","context-banner","context-style","context-standalone-patient",` +
		`"permission-offline","permission-online","permission-patient","permission-user","permission-v1","permission-v2"]}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	// What is changed here counts here at once.
	if _, _, err := d.ChangeApp(t.Context(), orgA, slug, off.ClientID, anything, read[smartauth.NewApp](t, `{"enabled":true}`)); err != nil || !slices.Contains(found().Scopes, "email") {
		t.Errorf("%v", err)
	}
	if err := d.DeleteApp(t.Context(), orgA, slug, "two", anything); err != nil || slices.Contains(found().Capabilities, "client-confidential-symmetric") {
		t.Errorf("%v", err)
	}
	d.put(t, `{"tokens":"fhirlink","scopesSupported":["openid"]}`)
	if m := found(); !slices.Equal(m.Scopes, []string{"openid"}) {
		t.Errorf("%q", m.Scopes)
	}
	server, err := d.Server(t.Context(), slug)
	if a, ok := server.App("one"); err != nil || !ok || a.Name != "One" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, ok := server.App("two"); ok {
		t.Error("a deleted app is there")
	}
}

// TestUnknownServer: whoever asks does not learn why there is none.
func TestUnknownServer(t *testing.T) {
	d := newDesk()
	unknown := func(what, slug string) {
		t.Helper()
		_, metadata := d.Metadata(t.Context(), slug)
		_, keys := d.KeySet(t.Context(), slug)
		for _, err := range []error{metadata, keys} {
			if !errors.Is(err, smartauth.ErrUnknown) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	unknown("off", slug)
	unknown("no link", "another")
	unknown("no slug", "../x")
	d.put(t, `{"tokens":"fhirlink"}`)
	if set, err := d.KeySet(t.Context(), slug); err != nil || len(set.Keys) != 1 {
		t.Errorf("%v, %v", set, err)
	}
	l := d.links[slug]
	for _, phase := range []link.Phase{link.Deleting, link.Tombstone, link.Reserved} {
		l.Phase = phase
		d.links[slug] = l
		d.now = d.now.Add(time.Minute)
		unknown(string(phase), slug)
	}
	l.Phase, l.ID = link.Live, "id-2"
	d.links[slug] = l
	unknown("a link that is registered again", slug)
	d.PublicURL = ""
	unknown("no public URL", slug)
}

// TestServerIsRemembered: for 30 s without a request, and for ten minutes while the database is down; but
// never after a reading that said it is gone.
func TestServerIsRemembered(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	calls, down := 0, false
	d.rows.Fault = func(_ string, _ store.Key, before bool) error {
		if before {
			calls++
		}
		if down {
			return fmt.Errorf("%w: canary", store.ErrUnavailable)
		}
		return nil
	}
	ask := func() error { _, err := d.Metadata(t.Context(), slug); return err }
	for range 3 {
		if err := ask(); err != nil || calls != 2 {
			t.Fatalf("%v after %d requests", err, calls)
		}
	}
	down = true
	for _, after := range []time.Duration{29 * time.Second, time.Minute, 8 * time.Minute} {
		d.now = d.now.Add(after)
		if err := ask(); err != nil {
			t.Errorf("%v later: %v", after, err)
		}
	}
	d.now = d.now.Add(2 * time.Minute)
	wantCode(t, ask(), problem.UpstreamUnavailable)
	down = false
	d.now = d.now.Add(time.Minute)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	d.rows.Fault = nil
	if err := d.DeleteSettings(t.Context(), orgA, slug, anything); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, smartauth.ErrUnknown) {
		t.Errorf("%v", err)
	}
	d.put(t, `{"tokens":"fhirlink"}`)
	d.keyless = signer.ErrUnavailable
	_, err := d.KeySet(t.Context(), slug)
	wantCode(t, err, problem.UpstreamUnavailable)
}

// TestSnippets: what package guidance is told of a link and its settings.
func TestSnippets(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink","server":"fhirServer","audience":"api://clinic","serverClientId":"33333333-3333-4333-8333-333333333333","accessTokenRoles":[],"compartment":"claim"}`)
	of := func() smartauth.Server {
		t.Helper()
		s, err := d.Settings(t.Context(), orgA, slug)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := of()
	text := fmt.Sprint(s.Snippets("https://issuer.example"))
	for _, part := range []string{"Audience:api://clinic", "Authority:https://issuer.example", "clientId:33333333-3333-4333-8333-333333333333", "accessTokenRoles of the link must have smartUser"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
	if notes := fmt.Sprint(s.Notes()); !strings.Contains(notes, "Set accessTokenRoles") || !strings.Contains(notes, "Set compartment") {
		t.Error(notes)
	}
	d.put(t, `{"tokens":"fhirlink","server":"fhirServer"}`)
	if notes := of().Notes(); notes == nil || len(notes) > 0 {
		t.Errorf("with the defaults of the kind of server, everything works, but the notes are %q", notes)
	}
	for want, authority := range map[string]func(fhir.BaseURL) string{
		"https://login.microsoftonline.com/" + orgA: nil,
		"https://login.sandbox.test/" + orgA:        func(fhir.BaseURL) string { return "https://login.sandbox.test/" },
	} {
		d.Authority = authority
		s := of()
		s.Settings.Tokens = "entra"
		if text := fmt.Sprint(s.Snippets("https://issuer.example")); !strings.Contains(text, "Authority:"+want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}
