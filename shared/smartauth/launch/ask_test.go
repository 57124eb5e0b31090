package launch

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/smartauth"
)

// asking returns a server with apps, and a request of the app "one" that it takes.
func asking(t *testing.T, settings string) (server, url.Values) {
	t.Helper()
	d := newRig()
	d.put(t, settings)
	d.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb","https://app.example/cb?x=1","http://127.0.0.1/cb"],"scopes":["openid","fhirUser","launch","launch/patient","offline_access","patient/*.rs","user/Observation.read"]}`)
	d.create(t, `{"clientId":"iss","name":"Iss","type":"symmetric","redirectUris":["https://app.example/cb"],"scopes":["openid","online_access"],"pkce":"optional","authorizationResponseIss":true}`)
	d.create(t, `{"clientId":"off","name":"Off","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid"],"enabled":false}`)
	s, err := d.server(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	return s, url.Values{
		"response_type": {"code"}, "client_id": {"one"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"launch openid patient/Observation.r"}, "state": {"a b&c"},
		"aud": {"https://clinic.example/fhir/"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
}

func TestAsk(t *testing.T) {
	s, request := asking(t, `{"tokens":"fhirlink","fhirBaseUrls":["https://gateway.example/fhir"]}`)
	for _, c := range []struct {
		name    string
		changes []string
		scopes  string
		offline bool
	}{
		{"as it is", nil, "openid patient/Observation.r", false},
		{"of several spellings and repeated", []string{"scope=patient/Observation.read openid\tpatient/Observation.read  patient/Observation.rs?category=x"}, "patient/Observation.read openid patient/Observation.rs?category=x", false},
		{"more than it may have", []string{"scope=openid email profile patient/*.cruds patient/*.rs user/Observation.rs user/*.read system/*.rs custom fhirUser launch/patient launch/encounter"}, "openid patient/*.rs user/Observation.rs fhirUser launch/patient", false},
		{"offline", []string{"scope=offline_access openid"}, "offline_access openid", true},
		{"aud of a gateway", []string{"aud=https://gateway.example/fhir"}, "openid patient/Observation.r", false},
		{"resource", []string{"-aud", "resource=https://clinic.example/fhir"}, "openid patient/Observation.r", false},
		{"both", []string{"resource=https://clinic.example/fhir/"}, "openid patient/Observation.r", false},
		{"any port of the machine", []string{"redirect_uri=http://127.0.0.1:4711/cb"}, "openid patient/Observation.r", false},
		{"everything optional", []string{"nonce=n", "login_hint=ada@example.org", "prompt=select_account", "response_mode=query", "unknown=1", "+unknown=2"}, "openid patient/Observation.r", false},
		{"an empty launch", []string{"launch="}, "openid patient/Observation.r", false},
		{"a launch", []string{"launch=fll_x"}, "launch openid patient/Observation.r", false},
		{"a launch without its scope", []string{"launch=fll_x", "scope=openid patient/Observation.r"}, "openid patient/Observation.r", false},
	} {
		a, err := s.ask(with(request, c.changes...), issuer)
		if err != nil || strings.Join(a.Scopes, " ") != c.scopes || a.offline() != c.offline || a.App.ClientID != "one" || a.State != "a b&c" || a.Challenge != challenge || strings.HasSuffix(a.Audience, "/") {
			t.Errorf("%s: %+v, %v", c.name, a, err)
		}
	}
	if a, err := s.ask(with(request, "client_id=iss", "-code_challenge", "-code_challenge_method", "scope=online_access"), issuer); err != nil || a.Challenge != "" || !a.offline() {
		t.Errorf("without PKCE: %+v, %v", a, err)
	}
}

// TestAskIsShownHere: nothing is sent to an address that is not known to be the app's.
func TestAskIsShownHere(t *testing.T) {
	s, request := asking(t, `{"tokens":"fhirlink"}`)
	for code, all := range map[string][][]string{
		"malformed_request": {{"-client_id"}, {"-redirect_uri"}, {"+client_id=one"}, {"+redirect_uri=https://app.example/cb"}},
		"unknown_app":       {{"client_id=two"}, {"client_id="}, {"client_id=One"}, {"client_id=one,one"}, {"client_id=one "}},
		"app_disabled":      {{"client_id=off"}},
		"unknown_redirect_uri": {
			{"redirect_uri=https://evil.example/"},
			{"redirect_uri=https://app.example/cb/"},
			{"redirect_uri=https://app.example/cb?x=2"},
			{"redirect_uri=https://app.example:443/cb"},
			{"redirect_uri=//app.example/cb"},
			{"redirect_uri="},
			{"client_id=iss", "redirect_uri=http://127.0.0.1:1/cb"},
			{"redirect_uri=https://app.example/cb,https://app.example/cb"},
			{"redirect_uri=https://app.example/cb#x"},
			{"redirect_uri=javascript:alert(1)"},
		},
	} {
		for _, changes := range all {
			_, err := s.ask(with(request, append(changes, "response_type=token")...), issuer) // whatever else is wrong
			var shown *Shown
			if !errors.As(err, &shown) || shown.Code != code || shown.Detail == "" || strings.Contains(shown.Detail, "evil") {
				t.Errorf("%q: %v, want %s", changes, err, code)
			}
		}
	}
}

// TestAskNamesTheSameParameter: every host and every try names the same one of several that are missing.
func TestAskNamesTheSameParameter(t *testing.T) {
	s, _ := asking(t, `{"tokens":"fhirlink"}`)
	for range 50 {
		if _, err := s.ask(url.Values{}, issuer); err == nil || !strings.Contains(err.Error(), "client_id") {
			t.Fatal(err)
		}
	}
}

func TestAskIsRefused(t *testing.T) {
	s, request := asking(t, `{"tokens":"fhirlink"}`)
	for code, all := range map[string][][]string{
		"unsupported_response_type": {{"response_type=token"}, {"response_type=code token"}, {"response_type=id_token"}},
		"request_not_supported":     {{"request=x"}},
		"request_uri_not_supported": {{"request_uri=https://a.example"}},
		"invalid_request": {
			{"-scope"},
			{"scope="},
			{"scope= \t"},
			{"-response_type"},
			{"+response_type=code"},
			{"+scope=openid"},
			{"+state=b"},
			{"-state"},
			{"state="},
			{"state=" + strings.Repeat("s", 2049)},
			{"-aud"},
			{"aud=https://evil.example/fhir"},
			{"aud=https://clinic.example/fhir//"},
			{"aud=https://clinic.example"},
			{"aud=https://clinic.example/FHIR"},
			{"resource=https://clinic.example/other"},
			{"aud=https://clinic.example/fhir,https://clinic.example/fhir"},
			{"-code_challenge"},
			{"-code_challenge_method"},
			{"-code_challenge", "-code_challenge_method"},
			{"code_challenge="},
			{"code_challenge_method=plain"},
			{"code_challenge_method=s256"},
			{"code_challenge=" + challenge + "="},
			{"code_challenge=" + challenge[1:]},
			{"+code_challenge=" + challenge},
			{"prompt=x"},
			{"prompt=none login"},
			{"response_mode=fragment"},
			{"response_mode=form_post"},
			{"nonce=" + strings.Repeat("n", 513)},
			{"login_hint=" + strings.Repeat("n", 513)},
			{"+nonce=a", "+nonce=b"},
			{"client_id=iss", "-code_challenge"},
			{"client_id=iss", "code_challenge_method=plain"},
		},
		"invalid_scope": {
			{"scope=launch"},
			{"scope=email profile"},
			{"scope=system/*.rs"},
			{"scope=patient/*.cruds"},
			{"scope=openid patient/Observation.x"},
			{"scope=openid patient/Observation"},
			{"scope=openid patient/.rs"},
			{"scope=openid \"x\""},
			{"scope=openid a\\b"},
			{"scope=openid ä"},
			{"scope=" + strings.Repeat("openid ", 201)},
			{"scope=openid " + strings.Repeat("a", 513)},
			{"scope=openid " + strings.Repeat(strings.Repeat("a", 500)+" ", 17)},
		},
	} {
		for _, changes := range all {
			_, err := s.ask(with(request, changes...), issuer)
			var refused *Refused
			if !errors.As(err, &refused) || refused.Code != code || refused.Issuer != "" && !slices.Contains(changes, "client_id=iss") {
				t.Errorf("%.80q: %v, want %s", changes, err, code)
				continue
			}
			u, err := url.Parse(refused.Location())
			if err != nil || !strings.HasPrefix(refused.Location(), "https://app.example/cb?error="+code+"&") || u.Query().Get("error_description") == "" || strings.Contains(refused.Location(), "evil") {
				t.Errorf("%.80q leads to %s, %v", changes, refused.Location(), err)
			}
			changed := with(request, changes...)
			if state := changed["state"]; len(state) == 1 && len(state[0]) <= 2048 && u.Query().Get("state") != state[0] || len(state) != 1 && u.Query().Has("state") {
				t.Errorf("%.80q: the state comes back as %q", changes, u.Query()["state"])
			}
		}
	}
	_, err := s.ask(with(request, "redirect_uri=https://app.example/cb?x=1", "response_type=token"), issuer)
	var refused *Refused
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Location(), "https://app.example/cb?x=1&error=unsupported_response_type&error_description=") || !strings.HasSuffix(refused.Location(), "&state=a%20b%26c") {
		t.Errorf("%v", refused.Location())
	}
	_, err = s.ask(with(request, "client_id=iss", "response_type=token"), issuer)
	if !errors.As(err, &refused) || !strings.HasSuffix(refused.Location(), "&iss="+url.QueryEscape(issuer)) {
		t.Errorf("%v", err)
	}
}

// TestMixedScopes: Microsoft's servers answer 400 to every request of a token that mixes.
func TestMixedScopes(t *testing.T) {
	for server, want := range map[string]bool{"ahds": true, "fhirServer": true, "firely": false, "other": false} {
		s, request := asking(t, `{"tokens":"fhirlink","server":"`+server+`"}`)
		for scope, mixes := range map[string]bool{"patient/Observation.rs user/Observation.rs": true, "patient/Observation.rs patient/Patient.read": true, "patient/Observation.rs patient/Patient.r openid launch/patient": false, "user/Observation.read openid": false, "patient/*.rs user/*.cruds": false} {
			_, err := s.ask(with(request, "scope="+scope), issuer)
			var refused *Refused
			if got := errors.As(err, &refused) && refused.Code == "invalid_scope"; got != (want && mixes) {
				t.Errorf("%s, %s: %v", server, scope, err)
			}
		}
	}
}

// FuzzAuthorize: whatever is asked, the browser is sent to an address of the app or nowhere, and the app
// gets no scope that it may not have.
func FuzzAuthorize(f *testing.F) {
	f.Add("client_id=one&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=s&scope=openid&aud=https%3A%2F%2Fclinic.example%2Ffhir&code_challenge_method=S256&code_challenge=" + challenge)
	f.Add("client_id=one&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=token&state=%0d%0aX:1")
	f.Add("client_id=one&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcb&scope=%22&state=%ff")
	f.Add("client_id=one&redirect_uri=http%3A%2F%2F%5B127.0.0.1%5D%3A1%2Fcb&response_type=token&state=s")
	its := regexp.MustCompile(`^(https://app\.example|http://127\.0\.0\.1(:[1-9][0-9]{0,4})?)/cb$`)
	d := newRig()
	d.put(f, `{"tokens":"fhirlink"}`)
	name, uris, scopes := "One", []string{"https://app.example/cb", "http://127.0.0.1/cb"}, []string{"openid", "patient/*.rs"}
	if _, _, _, err := d.smart.CreateApp(f.Context(), orgA, slug, smartauth.NewApp{ClientID: "one", Name: &name, Type: "public", RedirectURIs: &uris, Scopes: &scopes}); err != nil {
		f.Fatal(err)
	}
	s, err := d.server(f.Context(), slug)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		a, err := s.ask(values, issuer)
		var refused *Refused
		switch {
		case err == nil:
			for _, scope := range a.Scopes {
				if scope != "openid" && !strings.HasPrefix(scope, "patient/") {
					t.Errorf("%q is granted %q", query, scope)
				}
			}
			if !its.MatchString(a.RedirectURI) || a.Challenge == "" {
				t.Errorf("%q: %+v", query, a)
			}
		case errors.As(err, &refused):
			location := refused.Location()
			if rest, ok := strings.CutPrefix(location, refused.RedirectURI+"?"); !ok || !its.MatchString(refused.RedirectURI) || strings.ContainsFunc(rest, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '\\' }) {
				t.Errorf("%q leads to %q", query, location)
			}
		}
	})
}
