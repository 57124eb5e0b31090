package launch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/link"
	"fhirlink/shared/oauth"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// claimsOf are the claims of a token, after its signature was checked by what is published.
func (r *rig) claimsOf(t testing.TB, token, typ string) jwt.MapClaims {
	t.Helper()
	keys, err := r.Signer.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(r.clock)).ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) {
		for _, k := range keys {
			if k.KeyID == token.Header["kid"] {
				return k.Key, nil
			}
		}
		return nil, errors.New("an unknown key")
	})
	if err != nil || parsed.Header["typ"] != typ {
		t.Fatalf("%v, %v", err, parsed.Header)
	}
	return claims
}

// TestStandaloneLaunch is a launch of a patient: SMART's spelling everywhere, the patient in context, a
// refresh, a revocation.
func TestStandaloneLaunch(t *testing.T) {
	r, request := patientApp(t)
	form := r.signIn(t, request, pat)
	answer := r.tokens(t, form)
	const scope = "openid fhirUser launch/patient offline_access patient/Observation.rs?category=x patient/*.read"
	if answer.Scope != scope || answer.Patient != "canary-p1" || answer.TokenType != "Bearer" || answer.ExpiresIn != 3600 || !strings.HasPrefix(answer.RefreshToken, "flr_") {
		t.Errorf("%q %q", answer.Scope, answer.Patient)
	}
	access, id := r.claimsOf(t, answer.AccessToken, "at+jwt"), r.claimsOf(t, answer.IDToken, "JWT")
	if access["iss"] != issuer || access["aud"] != "https://clinic.example/fhir" || access["scope"] != scope || access["scp"] != scope || access["patient"] != "canary-p1" || access["client_id"] != "one" || access["azp"] != clientID || access["tid"] != orgA || access["fhirUser"] != "https://clinic.example/fhir/Patient/canary-p1" {
		t.Errorf("%v", access)
	}
	if id["iss"] != issuer || id["aud"] != "one" || id["nonce"] != "canary-nonce" || id["sub"] != access["sub"] || id["fhirUser"] != "https://clinic.example/fhir/Patient/canary-p1" || id["name"] != nil || id["email"] != nil {
		t.Errorf("%v", id)
	}
	again := r.tokens(t, refreshForm(answer))
	refreshed := r.claimsOf(t, again.AccessToken, "at+jwt")
	if again.Scope != scope || again.Patient != "canary-p1" || again.IDToken != "" || again.RefreshToken == answer.RefreshToken || refreshed["gid"] != access["gid"] || refreshed["jti"] == access["jti"] || refreshed["sub"] != access["sub"] {
		t.Errorf("%q %v", again.Scope, refreshed)
	}
	if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {again.RefreshToken}, "client_id": {"one"}}); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(again)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("after revocation: %v", err)
	}
	text, err := json.Marshal(answer)
	if err != nil || strings.Contains(string(text), "null") || strings.Contains(string(text), "need_patient") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestWhoIsGrantedWhat: patients get patient/ scopes of their own, others user/ scopes, and who has no FHIR
// resource gets no data.
func TestWhoIsGrantedWhat(t *testing.T) {
	for name, tt := range map[string]struct {
		user    entratest.Account
		scope   string
		granted string // "app …": what the app is told
		patient string
	}{
		"a patient":                    {pat, "openid patient/*.rs user/*.rs", "openid patient/*.rs", "canary-p1"},
		"a practitioner":               {ada, "openid fhirUser patient/*.rs user/Observation.rs launch/patient", "openid fhirUser user/Observation.rs", ""},
		"a practitioner, patient only": {ada, "openid patient/*.rs", "app access_denied", ""},
		"a patient, user/ only":        {pat, "openid user/*.rs", "app access_denied", ""},
		"nobody":                       {nobody, "openid patient/*.rs user/*.rs", "app access_denied", ""},
		"nobody, no data":              {nobody, "openid fhirUser profile", "openid profile", ""},
		"nobody, nothing at all":       {nobody, "launch/patient", "app access_denied", ""},
		"more than the app may have":   {pat, "patient/Observation.cruds openid patient/Patient.r", "openid patient/Patient.r", "canary-p1"},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := patientApp(t)
			begun, err := r.Authorize(t.Context(), slug, with(request, "scope="+tt.scope))
			if err != nil {
				t.Fatal(err)
			}
			answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, tt.user))
			if err != nil {
				var refused *Refused
				if codeOf(err) != tt.granted || !errors.As(err, &refused) || strings.Contains(refused.Location(), "canary-p1") || !strings.HasPrefix(refused.Location(), "https://app.example/cb?error=access_denied&error_description=") {
					t.Errorf("%v", err)
				}
				return
			}
			answer := r.tokens(t, r.formOf(t, request, answered))
			if answer.Scope != tt.granted || answer.Patient != tt.patient || answer.RefreshToken != "" {
				t.Errorf("%q %q", answer.Scope, answer.Patient)
			}
		})
	}
}

// TestUserInfo: the id token says of the user what was asked for.
func TestUserInfo(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, with(request, "scope=openid profile email", "-nonce"), ada))
	id := r.claimsOf(t, answer.IDToken, "JWT")
	if id["name"] != "Ada" || id["preferred_username"] != "ada@example.org" || id["nonce"] != nil || id["fhirUser"] != nil {
		t.Errorf("%v", id)
	}
	if plain := r.tokens(t, r.signIn(t, with(request, "scope=patient/*.rs"), pat)); plain.IDToken != "" {
		t.Error("an id token without openid")
	}
}

// TestContextOfSettings: constants of the settings are in every answer.
func TestContextOfSettings(t *testing.T) {
	r, request := patientApp(t)
	r.put(t, `{"tokens":"fhirlink","context":{"tenant":"t-1","smartStyleUrl":"https://a.example/style.json","needPatientBanner":false},"accessTokenSeconds":300,"fhirBaseUrls":["https://gateway.example/fhir"]}`)
	answer := r.tokens(t, r.signIn(t, with(request, "aud=https://gateway.example/fhir/"), pat))
	for range 2 {
		if answer.Tenant != "t-1" || answer.SmartStyleURL != "https://a.example/style.json" || answer.NeedPatientBanner == nil || *answer.NeedPatientBanner || answer.ExpiresIn != 300 {
			t.Errorf("%v", answer.Tenant)
		}
		if access := r.claimsOf(t, answer.AccessToken, "at+jwt"); access["fhirUser"] != "https://clinic.example/fhir/Patient/canary-p1" {
			t.Errorf("%v", access)
		}
		if answer.IDToken != "" && r.claimsOf(t, answer.IDToken, "JWT")["fhirUser"] != "https://gateway.example/fhir/Patient/canary-p1" {
			t.Error("fhirUser of the id token is not below aud")
		}
		answer = r.tokens(t, refreshForm(answer))
	}
}

// TestCallbackIsBound: Entra's answer counts once, in the browser that began, at the link that began, within
// ten minutes, while the app is as it was.
func TestCallbackIsBound(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(t *testing.T, r *rig, b *Begun, q url.Values)
		want string
	}{
		"as it should be": {func(*testing.T, *rig, *Begun, url.Values) {}, "ok"},
		"unknown keys":    {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Set("x", "1") }, "ok"},
		"no state":        {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Del("state") }, "page browser_mismatch"},
		"two states":      {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Add("state", q.Get("state")) }, "page browser_mismatch"},
		"another state": {func(_ *testing.T, r *rig, _ *Begun, q url.Values) {
			q.Set("state", string(handle.New(r.clock().Add(time.Minute))))
		}, "page browser_mismatch"},
		"no state of ours":      {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Set("state", "<x>") }, "page browser_mismatch"},
		"no cookie":             {func(_ *testing.T, _ *rig, b *Begun, _ url.Values) { b.Cookie = &http.Cookie{} }, "page browser_mismatch"},
		"the cookie of another": {func(_ *testing.T, _ *rig, b *Begun, _ url.Values) { c := *b.Cookie; c.Value = "x"; b.Cookie = &c }, "page browser_mismatch"},
		"after ten minutes":     {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.pass(10 * time.Minute) }, "page request_expired"},
		"after an hour, swept":  {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.pass(time.Hour); r.removeShort(t) }, "page request_expired"},
		"settings made anew":    {func(t *testing.T, r *rig, _ *Begun, _ url.Values) { r.off(t); r.put(t, `{"tokens":"fhirlink"}`) }, "page request_expired"},
		"settings changed": {func(t *testing.T, r *rig, _ *Begun, _ url.Values) {
			r.put(t, `{"tokens":"fhirlink","diagnostics":true}`)
		}, "ok"},
		"SMART off":   {func(t *testing.T, r *rig, _ *Begun, _ url.Values) { r.off(t) }, "invalid_request"},
		"the app off": {func(t *testing.T, r *rig, _ *Begun, _ url.Values) { r.change(t, `{"enabled":false}`) }, "page app_disabled"},
		"the app off and on": {func(t *testing.T, r *rig, _ *Begun, _ url.Values) {
			r.change(t, `{"enabled":false}`)
			r.change(t, `{"enabled":true}`)
		}, "page request_expired"},
		"the app gone": {func(t *testing.T, r *rig, _ *Begun, _ url.Values) { r.deleteApp(t) }, "page unknown_app"},
		"the redirect URI gone": {func(t *testing.T, r *rig, _ *Begun, _ url.Values) {
			r.change(t, `{"redirectUris":["https://app.example/other"]}`)
		}, "page unknown_redirect_uri"},
		"no code":                     {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Del("code") }, "app server_error"},
		"a code of nobody":            {func(_ *testing.T, _ *rig, _ *Begun, q url.Values) { q.Set("code", "x") }, "app server_error"},
		"declined":                    {entraSays("access_denied", "AADSTS65004: canary declined"), "app access_denied"},
		"consent missing":             {entraSays("invalid_client", "AADSTS65001: canary"), "app consent_required"},
		"nobody signed in":            {entraSays("login_required", "AADSTS50058: canary"), "app login_required"},
		"more proof":                  {entraSays("interaction_required", "AADSTS50076: canary"), "app interaction_required"},
		"the number decides":          {entraSays("invalid_client", "AADSTS650053: canary"), "app invalid_scope"},
		"a scope that it cannot take": {entraSays("invalid_scope", "AADSTS70011: canary"), "app invalid_scope"},
		"expired secret of the link":  {entraSays("invalid_client", "AADSTS7000222: canary"), "app server_error"},
		"passes through":              {entraSays("consent_required", "canary"), "app consent_required"},
		"busy":                        {entraSays("temporarily_unavailable", "AADSTS90033: canary"), "app temporarily_unavailable"},
		"something else":              {entraSays("invalid_request", "AADSTS999999: canary"), "app server_error"},
		"Entra is down":               {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.entra.Before = entratest.WebPage(502) }, "app temporarily_unavailable"},
		"Entra answers a page":        {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.entra.Before = entratest.WebPage(200) }, "app temporarily_unavailable"},
		"Entra throttles":             {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.entra.Before = r.entra.Throttle(30) }, "app temporarily_unavailable"},
		"the link's secret is wrong":  {func(_ *testing.T, r *rig, _ *Begun, _ url.Values) { r.as = "wrong" }, "app server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := patientApp(t)
			begun, err := r.Authorize(t.Context(), slug, request)
			if err != nil {
				t.Fatal(err)
			}
			query := r.entraAnswers(t, begun, pat)
			tt.do(t, r, &begun, query)
			_, err = r.callback(t.Context(), begun, query)
			if codeOf(err) != tt.want {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			var refused *Refused
			if errors.As(err, &refused) && (strings.Contains(refused.Description, "canary") || refused.State != "canary-state" || refused.RedirectURI != "https://app.example/cb" || refused.Description == "") {
				t.Errorf("%+v", refused)
			}
			if tt.want == "ok" || refused != nil { // it counts once
				if _, err := r.callback(t.Context(), begun, query); codeOf(err) != "page already_used" {
					t.Errorf("again: %v", err)
				}
			}
		})
	}
}

func entraSays(code, description string) func(*testing.T, *rig, *Begun, url.Values) {
	return func(_ *testing.T, _ *rig, _ *Begun, q url.Values) {
		q.Del("code")
		q.Set("error", code)
		q.Set("error_description", description)
	}
}

func (r *rig) off(t testing.TB) {
	t.Helper()
	if err := r.smart.DeleteSettings(t.Context(), orgA, slug, smartauth.Precondition{IfMatch: "*"}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) change(t testing.TB, app string) {
	t.Helper()
	if _, _, err := r.smart.ChangeApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, app)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) deleteApp(t testing.TB) {
	t.Helper()
	if err := r.smart.DeleteApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}); err != nil {
		t.Fatal(err)
	}
}

// removeShort removes all short-lived rows, as the timer does when their time is over.
func (r *rig) removeShort(t testing.TB) {
	t.Helper()
	for _, row := range r.rows.All() {
		if row.Partition[0] == 't' {
			if _, err := r.rows.Remove(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestIDTokensOfOthers: who has signed in is what a token says that Entra has signed for this sign-in.
func TestIDTokensOfOthers(t *testing.T) {
	for name, change := range map[string]func(*entratest.SignIn){
		"another nonce":  func(s *entratest.SignIn) { s.Nonce = "other" },
		"another tenant": func(s *entratest.SignIn) { s.Changed = map[string]any{"tid": "66666666-6666-4666-8666-666666666666"} },
		"another issuer": func(s *entratest.SignIn) { s.Changed = map[string]any{"iss": "https://evil.example/"} },
		"another app":    func(s *entratest.SignIn) { s.Changed = map[string]any{"aud": "33333333-3333-4333-8333-333333333333"} },
		"over":           func(s *entratest.SignIn) { s.Changed = map[string]any{"exp": 1} },
		"no oid":         func(s *entratest.SignIn) { s.Changed = map[string]any{"oid": nil} },
		"forged":         func(s *entratest.SignIn) { s.Forged = true },
	} {
		r, request := patientApp(t)
		begun, err := r.Authorize(t.Context(), slug, request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat, change)); codeOf(err) != "app server_error" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodeIsBound: a code is good once, for its app, at its address, for who knows the verifier, within two
// minutes. What is refused does not spend it.
func TestCodeIsBound(t *testing.T) {
	r, request := patientApp(t)
	secretOfTwo := r.create(t, `{"clientId":"two","name":"Two","type":"symmetric","redirectUris":["https://app.example/cb"],"scopes":["openid"],"pkce":"optional"}`).Reveal()
	form := r.signIn(t, request, pat)
	for name, tt := range map[string]struct {
		form url.Values
		want string
	}{
		"no grant type":            {with(form, "-grant_type"), oauth.InvalidRequest},
		"another grant type":       {with(form, "grant_type=password"), oauth.UnsupportedGrantType},
		"a grant type of others":   {with(form, "grant_type=client_credentials"), oauth.UnauthorizedClient},
		"a grant type twice":       {with(form, "+grant_type=authorization_code"), oauth.InvalidRequest},
		"a code twice":             {with(form, "+code=x"), oauth.InvalidRequest},
		"no code":                  {with(form, "-code"), oauth.InvalidRequest},
		"a code of nobody":         {with(form, "code=flc_"+string(handle.New(r.clock()))), oauth.InvalidGrant},
		"no code of ours":          {with(form, "code=x"), oauth.InvalidGrant},
		"the handle of a state":    {with(form, "code="+strings.TrimPrefix(form.Get("code"), "flc_")), oauth.InvalidGrant},
		"no client":                {with(form, "-client_id"), oauth.InvalidClient},
		"an unknown client":        {with(form, "client_id=three"), oauth.InvalidClient},
		"another client":           {with(form, "client_id=two", "client_secret="+secretOfTwo), oauth.InvalidGrant},
		"another redirect URI":     {with(form, "redirect_uri=https://app.example/cb?"), oauth.InvalidGrant},
		"no redirect URI":          {with(form, "-redirect_uri"), oauth.InvalidRequest},
		"an empty redirect URI":    {with(form, "redirect_uri="), oauth.InvalidRequest},
		"no verifier":              {with(form, "-code_verifier"), oauth.InvalidGrant},
		"an empty verifier":        {with(form, "code_verifier="), oauth.InvalidGrant},
		"another verifier":         {with(form, "code_verifier="+strings.Repeat("a", 43)), oauth.InvalidGrant},
		"a short verifier":         {with(form, "code_verifier=a"), oauth.InvalidGrant},
		"the challenge itself":     {with(form, "code_verifier="+challenge), oauth.InvalidGrant},
		"a secret of a public app": {with(form, "client_secret=x"), oauth.InvalidClient},
	} {
		if _, err := r.Token(t.Context(), slug, nil, tt.form); codeOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	answer := r.tokens(t, form)
	// Presented again, by whomever: what came of it is dead.
	if _, err := r.Token(t.Context(), slug, nil, with(form, "code_verifier="+strings.Repeat("a", 43))); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("again: %v", err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("the grant of a code that was presented twice: %v", err)
	}

	late := r.signIn(t, request, pat)
	r.pass(2 * time.Minute)
	if _, err := r.Token(t.Context(), slug, nil, late); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("late: %v", err)
	}

	// Without a challenge there is no verifier (RFC 9700 §4.8.2).
	plain := r.signIn(t, with(request, "client_id=two", "scope=openid", "-code_challenge", "-code_challenge_method"), ada)
	plain.Set("client_secret", secretOfTwo)
	if _, err := r.Token(t.Context(), slug, nil, with(plain, "code_verifier="+verifier)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("a verifier without a challenge: %v", err)
	}
	r.tokens(t, plain)
}

// TestVerifierLength: a code_verifier has 43 to 128 characters (RFC 7636 §4.1), also one that fits its challenge.
func TestVerifierLength(t *testing.T) {
	for length, want := range map[int]string{1: oauth.InvalidGrant, 42: oauth.InvalidGrant, 43: "ok", 128: "ok", 129: oauth.InvalidGrant} {
		r, request := patientApp(t)
		verifier := strings.Repeat("v", length)
		sum := sha256.Sum256([]byte(verifier))
		form := r.signIn(t, with(request, "code_challenge="+base64.RawURLEncoding.EncodeToString(sum[:])), pat)
		if _, err := r.Token(t.Context(), slug, nil, with(form, "code_verifier="+verifier)); codeOf(err) != want {
			t.Errorf("%d characters: %v, want %s", length, err, want)
		}
	}
}

// TestNoScopeIsLeft: a code of which an app may have nothing any more leads to nothing, also where no data was
// asked for.
func TestNoScopeIsLeft(t *testing.T) {
	r, request := patientApp(t)
	form := r.signIn(t, with(request, "scope=openid profile"), pat)
	r.change(t, `{"scopes":["patient/*.rs"]}`)
	if answer, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("%v, granted %q", err, answer.Scope)
	}
	r.change(t, `{"scopes":["profile"]}`)
	if answer := r.tokens(t, form); answer.Scope != "profile" {
		t.Errorf("granted %q", answer.Scope)
	}
}

// grants are the rows of grants, by their keys.
func (r *rig) grants(t testing.TB) map[store.Key]grantRow {
	t.Helper()
	all := map[store.Key]grantRow{}
	for _, row := range r.rows.All() {
		if strings.HasPrefix(row.Name, "g_") {
			all[row.Key] = read[grantRow](t, row.Value)
		}
	}
	return all
}

// alive are how many grants have not ended.
func (r *rig) alive(t testing.TB) (n int) {
	t.Helper()
	for _, g := range r.grants(t) {
		if g.State == alive && r.clock().Before(g.End) {
			n++
		}
	}
	return n
}

// TestGrantsTell: a grant tells when it began, when it was last used, and when it ends. A repetition is no new use.
func TestGrantsTell(t *testing.T) {
	r, request := patientApp(t)
	form := r.signIn(t, request, pat)
	r.pass(time.Minute)
	began := r.clock()
	answer := r.tokens(t, form)
	tells := func(what string, used time.Time) {
		t.Helper()
		all := slices.Collect(maps.Values(r.grants(t)))
		if len(all) != 1 || !all[0].CreatedAt.Equal(began) || !all[0].UsedAt.Equal(used) || !all[0].End.Equal(began.Add(90*24*time.Hour)) || all[0].Client != "one" || all[0].ObjectID != pat.ObjectID {
			t.Errorf("%s: %d grants; began %v, used %v, ends %v; want %v, %v", what, len(all), all[0].CreatedAt, all[0].UsedAt, all[0].End, began, used)
		}
	}
	tells("new", began)
	r.pass(time.Hour)
	used := r.clock()
	r.tokens(t, refreshForm(answer))
	tells("refreshed", used)
	r.pass(time.Second)
	r.tokens(t, refreshForm(answer))
	tells("repeated", used)
}

// TestRefresh: a refresh token is exchanged once; repeated within a minute it leads to the same next one, and
// later it kills the grant.
func TestRefresh(t *testing.T) {
	r, request := patientApp(t)
	first := r.tokens(t, r.signIn(t, request, pat))
	second := r.tokens(t, with(refreshForm(first), "-client_id")) // as fhirclient does
	calls := r.calls
	r.pass(59 * time.Second)
	if repeated := r.tokens(t, refreshForm(first)); repeated.RefreshToken != second.RefreshToken || repeated.Scope != second.Scope || repeated.Patient != second.Patient {
		t.Error("a repetition leads elsewhere")
	}
	if r.calls != calls {
		t.Error("a repetition asks Entra")
	}
	third := r.tokens(t, refreshForm(second))
	for name, tt := range map[string]struct {
		scope, want string
	}{
		"narrower":              {"patient/Observation.rs?category=x openid", "patient/Observation.rs?category=x openid offline_access"},
		"covered by a wildcard": {"patient/Patient.r offline_access", "patient/Patient.r offline_access"},
		"empty":                 {"", first.Scope},
	} {
		narrow := r.tokens(t, with(refreshForm(third), "scope="+tt.scope))
		if narrow.Scope != tt.want || r.claimsOf(t, narrow.AccessToken, "at+jwt")["scope"] != tt.want {
			t.Errorf("%s: %q", name, narrow.Scope)
		}
		third = narrow
	}
	if whole := r.tokens(t, refreshForm(third)); whole.Scope != first.Scope {
		t.Errorf("the grant itself is narrower: %q", whole.Scope)
	} else {
		third = whole
	}
	for _, scope := range []string{"patient/Observation.cruds", "user/*.rs", "patient/*.rs patient/Patient.c", "profile"} {
		if _, err := r.Token(t.Context(), slug, nil, with(refreshForm(third), "scope="+scope)); codeOf(err) != oauth.InvalidScope {
			t.Errorf("%s: %v", scope, err)
		}
	}
	for name, form := range map[string]url.Values{
		"none":           with(refreshForm(third), "-refresh_token"),
		"twice":          with(refreshForm(third), "+refresh_token=x"),
		"none of ours":   with(refreshForm(third), "refresh_token=flr_x", "-client_id"),
		"another client": with(refreshForm(third), "client_id=two"),
	} {
		want := map[string]string{"none of ours": oauth.InvalidGrant, "another client": oauth.InvalidClient}[name]
		if want == "" {
			want = oauth.InvalidRequest
		}
		if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.pass(2 * time.Minute)
	fourth := r.tokens(t, refreshForm(third))
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(first)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("an old one: %v", err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(fourth)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("the newest one, after an old one was replayed: %v", err)
	}
}

// TestGrace: the refresh token before the current one leads to the current one for less than a minute after that was
// made. From then on who presents it is taken for a thief, and the grant ends.
func TestGrace(t *testing.T) {
	for after, good := range map[time.Duration]bool{0: true, 59 * time.Second: true, time.Minute - time.Microsecond: true, time.Minute: false, 61 * time.Second: false, 24 * time.Hour: false} {
		t.Run(after.String(), func(t *testing.T) {
			r, request := patientApp(t)
			first := r.tokens(t, r.signIn(t, request, pat))
			r.pass(time.Hour) // what counts is when it was exchanged, not when it was made
			second := r.tokens(t, refreshForm(first))
			r.pass(after)
			if good {
				if repeated := r.tokens(t, refreshForm(first)); repeated.RefreshToken != second.RefreshToken {
					t.Error("it leads elsewhere")
				}
				r.tokens(t, refreshForm(second))
				return
			}
			if _, err := r.Token(t.Context(), slug, nil, refreshForm(first)); codeOf(err) != oauth.InvalidGrant {
				t.Errorf("it is good: %v", err)
			}
			if _, err := r.Token(t.Context(), slug, nil, refreshForm(second)); codeOf(err) != oauth.InvalidGrant || r.alive(t) != 0 {
				t.Errorf("the grant is alive: %v", err)
			}
		})
	}
}

// TestTwoBefore: a refresh token that two have followed ends the grant, however soon.
func TestTwoBefore(t *testing.T) {
	r, request := patientApp(t)
	first := r.tokens(t, r.signIn(t, request, pat))
	third := r.tokens(t, refreshForm(r.tokens(t, refreshForm(first))))
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(first)); codeOf(err) != oauth.InvalidGrant || r.alive(t) != 0 {
		t.Errorf("%v, %d grants are alive", err, r.alive(t))
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(third)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("the newest: %v", err)
	}
}

// TestDatabaseIsPutBack: after the database was put back to an earlier state, the refresh tokens that were made since
// are not good, and whoever presents them is no thief: the one of that state goes on.
func TestDatabaseIsPutBack(t *testing.T) {
	r, request := patientApp(t)
	first := r.tokens(t, r.signIn(t, request, pat))
	old := r.rows.All()
	second := r.tokens(t, refreshForm(first))
	third := r.tokens(t, refreshForm(second))
	for _, row := range old {
		now, err := r.rows.Row(t.Context(), row.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, swapped, err := r.rows.Swap(t.Context(), now, row.Value); err != nil || !swapped {
			t.Fatal(swapped, err)
		}
	}
	for name, later := range map[string]TokenAnswer{"the next": second, "the one after": third} {
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(later)); codeOf(err) != oauth.InvalidGrant || r.alive(t) != 1 {
			t.Errorf("%s: %v, %d grants are alive", name, err, r.alive(t))
		}
	}
	r.tokens(t, refreshForm(first))
}

// TestRefreshesAtOnce: several tabs refresh with one token, and all go on with the same next one.
func TestRefreshesAtOnce(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, request, pat))
	for range 5 {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			next []string
		)
		for range 6 {
			wg.Go(func() {
				again, err := r.Token(t.Context(), slug, nil, refreshForm(answer))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				next = append(next, again.RefreshToken)
			})
		}
		wg.Wait()
		slices.Sort(next)
		if next = slices.Compact(next); len(next) != 1 {
			t.Fatalf("%d refresh tokens", len(next))
		}
		answer.RefreshToken = next[0]
	}
}

// onceOnly is an authority whose refresh tokens count once, as some do.
type onceOnly struct {
	entra.SignIns
	mu   sync.Mutex
	used map[string]bool
}

func (o *onceOnly) Refresh(ctx context.Context, c entra.Credentials, token secret.Value, scope string) (entra.UserTokens, error) {
	o.mu.Lock()
	used := o.used[token.Reveal()]
	o.used[token.Reveal()] = true
	o.mu.Unlock()
	if used {
		time.Sleep(500 * time.Millisecond) // the faster one has been answered
		return entra.UserTokens{}, &entra.Refusal{HTTPStatus: 400, OAuthError: oauth.InvalidGrant}
	}
	return o.SignIns.Refresh(ctx, c, token, scope)
}

// TestUpstreamTokensThatCountOnce: two refreshes at once kill nothing, even if Entra took each of its refresh
// tokens once only.
func TestUpstreamTokensThatCountOnce(t *testing.T) {
	r, request := patientApp(t)
	r.SignIns = &onceOnly{SignIns: r.SignIns, used: map[string]bool{}}
	answer := r.tokens(t, r.signIn(t, request, pat))
	for range 2 {
		var wg sync.WaitGroup
		next := make([]string, 2)
		for i := range next {
			wg.Go(func() {
				again, err := r.Token(t.Context(), slug, nil, refreshForm(answer))
				if err != nil {
					t.Error(err)
				}
				next[i] = again.RefreshToken
			})
		}
		wg.Wait()
		if next[0] != next[1] {
			t.Fatal("two refresh tokens")
		}
		answer.RefreshToken = next[0]
	}
}

// TestEntraDecidesAboutRefreshes: only Entra's invalid_grant ends a grant.
func TestEntraDecidesAboutRefreshes(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, request, pat))
	for name, tt := range map[string]struct {
		do   func(r *rig)
		want string
	}{
		"an expired secret of the link": {func(r *rig) { r.as = "expired" }, "upstream_unavailable"},
		"a wrong secret of the link":    {func(r *rig) { r.as = "wrong" }, "upstream_unavailable"},
		"throttled":                     {func(r *rig) { r.entra.Before = r.entra.Throttle(5) }, "upstream_unavailable"},
		"down":                          {func(r *rig) { r.entra.Before = entratest.WebPage(503) }, "upstream_unavailable"},
		"unauthorized":                  {func(r *rig) { r.entra.Before = r.entra.Refuse(400, "unauthorized_client", 700016, "canary") }, "upstream_unavailable"},
		"more proof":                    {func(r *rig) { r.entra.Before = r.entra.Refuse(400, "interaction_required", 50076, "canary") }, oauth.InvalidGrant},
		"more proof, otherwise":         {func(r *rig) { r.entra.Before = r.entra.Refuse(400, "invalid_grant", 50076, "canary") }, oauth.InvalidGrant},
	} {
		tt.do(r)
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
		r.as, r.entra.Before = linkSecret, nil
		again, err := r.Token(t.Context(), slug, nil, refreshForm(answer))
		if err != nil {
			t.Fatalf("after %s the grant is dead: %v", name, err)
		}
		answer = again
	}
	r.entra.Disable(pat.ObjectID, true)
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("a disabled user: %v", err)
	}
	r.entra.Disable(pat.ObjectID, false)
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("what Entra has ended begins again: %v", err)
	}
}

// TestGrantsEnd: with their time, with their app, with SMART authorization.
func TestGrantsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		scope string
		do    func(t *testing.T, r *rig)
		alive bool
	}{
		"89 days":                   {"offline_access", func(_ *testing.T, r *rig) { r.pass(89 * 24 * time.Hour) }, true},
		"90 days":                   {"offline_access", func(_ *testing.T, r *rig) { r.pass(90 * 24 * time.Hour) }, false},
		"online, 11 hours":          {"online_access", func(_ *testing.T, r *rig) { r.pass(11 * time.Hour) }, true},
		"online, 12 hours":          {"online_access", func(_ *testing.T, r *rig) { r.pass(12 * time.Hour) }, false},
		"both, a day":               {"online_access offline_access", func(_ *testing.T, r *rig) { r.pass(24 * time.Hour) }, true},
		"the app switched off":      {"offline_access", func(t *testing.T, r *rig) { r.change(t, `{"enabled":false}`); r.change(t, `{"enabled":true}`) }, false},
		"the app renamed":           {"offline_access", func(t *testing.T, r *rig) { r.change(t, `{"name":"Other"}`) }, true},
		"the app deleted":           {"offline_access", func(t *testing.T, r *rig) { r.deleteApp(t) }, false},
		"SMART off and on":          {"offline_access", func(t *testing.T, r *rig) { r.off(t); r.put(t, `{"tokens":"fhirlink"}`) }, false},
		"the link registered anew":  {"offline_access", func(_ *testing.T, r *rig) { l := r.links[slug]; l.ID = "id-9"; r.links[slug] = l; r.smart.Forget(slug) }, false},
		"the link is being deleted": {"offline_access", func(_ *testing.T, r *rig) { delete(r.links, slug); r.smart.Forget(slug) }, false},
		"the link's status": {"offline_access", func(_ *testing.T, r *rig) {
			l := r.links[slug]
			l.Secret.Expired = true
			r.links[slug] = l
			r.smart.Forget(slug)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := patientApp(t)
			answer := r.tokens(t, r.signIn(t, with(request, "scope=openid patient/*.rs "+tt.scope), pat))
			if !strings.Contains(answer.Scope, tt.scope) {
				t.Fatal(answer.Scope)
			}
			tt.do(t, r)
			if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); (err == nil) != tt.alive {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRevoke: RFC 7009. A refresh token and an access token end their grant.
func TestRevoke(t *testing.T) {
	r, request := patientApp(t)
	revoke := func(changes ...string) error {
		return r.Revoke(t.Context(), slug, nil, with(url.Values{"client_id": {"one"}}, changes...))
	}
	answer := r.tokens(t, r.signIn(t, request, pat))
	for name, err := range map[string]error{
		"unknown":            revoke("token=x"),
		"no JWT":             revoke("token=a.b.c"),
		"a forged JWT":       revoke("token=" + answer.AccessToken[:len(answer.AccessToken)-8] + "AAAAAAAA"),
		"unknown, as nobody": revoke("token=flr_x", "-client_id"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no token":       {revoke(), oauth.InvalidRequest},
		"two tokens":     {revoke("token=x", "+token=y"), oauth.InvalidRequest},
		"unknown client": {revoke("token=x", "client_id=two"), oauth.InvalidClient},
	} {
		if codeOf(tt.err) != tt.want {
			t.Errorf("%s: %v", name, tt.err)
		}
	}
	answer = r.tokens(t, refreshForm(answer))
	if err := revoke("token="+answer.AccessToken, "token_type_hint=refresh_token"); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("after the access token was revoked: %v", err)
	}
}

// TestOperations counts what each step asks of the database and of Entra (contract: issue's numbers).
func TestOperations(t *testing.T) {
	r, request := patientApp(t)
	r.tokens(t, refreshForm(r.tokens(t, r.signIn(t, request, pat)))) // so that all that is remembered is
	var reads, writes int
	fault := func(op string, _ store.Key, before bool) error {
		switch {
		case !before:
		case op == "Row", op == "List":
			reads++
		default:
			writes++
		}
		return nil
	}
	r.rows.Fault = fault
	count := func(what string, wantReads, wantWrites, wantCalls int, do func()) {
		t.Helper()
		reads, writes, r.calls = 0, 0, 0
		do()
		if reads != wantReads || writes != wantWrites || r.calls != wantCalls {
			t.Errorf("%s: %d reads, %d writes, %d calls of Entra; want %d, %d, %d", what, reads, writes, r.calls, wantReads, wantWrites, wantCalls)
		}
	}
	var (
		begun    Begun
		answered Answered
		answer   TokenAnswer
		err      error
	)
	count("authorize", 0, 1, 0, func() { begun, err = r.Authorize(t.Context(), slug, request) })
	query := r.entraAnswers(t, begun, pat)
	count("callback", 1, 2, 1, func() { answered, err = r.callback(t.Context(), begun, query) })
	form := r.formOf(t, request, answered)
	count("token by code", 1, 3, 0, func() { answer = r.tokens(t, form) })
	count("token by refresh", 1, 1, 1, func() { r.tokens(t, refreshForm(answer)) })
	if err != nil {
		t.Fatal(err)
	}

	r.rows.Fault = nil
	launched := r.fromEHR(t, request, `{"user":"`+pat.ObjectID+`","patient":"canary-p1"}`)
	r.rows.Fault = fault
	count("authorize with a launch", 1, 1, 0, func() { begun, err = r.Authorize(t.Context(), slug, launched) })
	query = r.entraAnswers(t, begun, pat)
	count("callback with a launch", 2, 3, 1, func() { answered, err = r.callback(t.Context(), begun, query) })
	form = r.formOf(t, launched, answered)
	count("token by code, with a launch", 1, 3, 0, func() { answer = r.tokens(t, form) })
	count("token by refresh, with a launch", 1, 1, 1, func() { r.tokens(t, refreshForm(answer)) })
	count("a launch", 2, 1, 0, func() {
		_, err = r.ehr.Create(t.Context(), orgA, slug, read[ehr.NewLaunch](t, `{"user":"`+pat.ObjectID+`","patient":"1"}`))
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFaults: a database that fails fails closed; what was held before is good afterwards.
func TestFaults(t *testing.T) {
	for _, lost := range []bool{false, true} { // the operation took place, and its answer was lost
		r, request := patientApp(t)
		down := func(op string, _ store.Key, before bool) error {
			if before != lost {
				return fmt.Errorf("%w: canary", store.ErrUnavailable)
			}
			return nil
		}
		if _, err := r.smart.Server(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
		r.rows.Fault = down
		if _, err := r.Authorize(t.Context(), slug, request); codeOf(err) != "app temporarily_unavailable" {
			t.Errorf("authorize: %v", err)
		}
		r.rows.Fault = nil
		begun, err := r.Authorize(t.Context(), slug, request)
		if err != nil {
			t.Fatal(err)
		}
		query := r.entraAnswers(t, begun, pat)
		r.rows.Fault = down
		if _, err := r.callback(t.Context(), begun, query); codeOf(err) != "upstream_unavailable" {
			t.Errorf("callback: %v", err)
		}
		r.rows.Fault = nil
		answered, err := r.callback(t.Context(), begun, query)
		if err != nil {
			t.Fatal(err)
		}
		form := r.formOf(t, request, answered)
		r.rows.Fault = down
		if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != "upstream_unavailable" {
			t.Errorf("token: %v", err)
		}
		r.rows.Fault = nil
		answer := r.tokens(t, form)
		r.rows.Fault = down
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != "upstream_unavailable" {
			t.Errorf("refresh: %v", err)
		}
		if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {answer.RefreshToken}, "client_id": {"one"}}); codeOf(err) != "upstream_unavailable" {
			t.Errorf("revoke: %v", err)
		}
		r.rows.Fault = nil
		r.tokens(t, refreshForm(answer))
	}
}

// TestSigningFails: without the signing key nothing is spent.
func TestSigningFails(t *testing.T) {
	r, request := patientApp(t)
	form := r.signIn(t, request, pat)
	r.key.Fail(errors.New("canary"))
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != "upstream_unavailable" {
		t.Errorf("%v", err)
	}
	r.key.Fail(nil)
	answer := r.tokens(t, form)
	r.key.Fail(errors.New("canary"))
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != "upstream_unavailable" {
		t.Errorf("%v", err)
	}
	r.key.Fail(nil)
	r.tokens(t, refreshForm(answer))
}

// errKilled stands for the end of the process: after it, nothing of the call is done any more.
var errKilled = errors.New("killed")

// TestKilledAnywhere walks over every operation of every step, ends the process there, and goes on: the app
// gets its tokens in the end, by the same step or by beginning again, and nothing is granted twice. The app is
// started by itself, and by an EHR.
func TestKilledAnywhere(t *testing.T) {
	for name, tt := range map[string]struct {
		launch  string
		atLeast int // operations
	}{
		"by itself": {"", 20},
		"by an EHR": {`{"user":"` + pat.ObjectID + `","patient":"canary-p1","encounter":"canary-e1"}`, 28},
	} {
		t.Run(name, func(t *testing.T) {
			point := 0
			for r := killAt(t, tt.launch, point); !r; r = killAt(t, tt.launch, point) {
				point++
			}
			if point < tt.atLeast {
				t.Errorf("only %d operations were walked over", point)
			}
		})
	}
}

// walked is a deployment in which a process ends at an operation: that one and all others of its call fail. The next
// call finds another process.
type walked struct {
	*rig
	left   int  // operations until the process ends
	killed bool // it has ended
	dead   bool // the call that it was at has not yet
}

// fault implements the Fault of rows.
func (w *walked) fault(string, store.Key, bool) error {
	if !w.killed && w.left == 0 {
		w.killed, w.dead = true, true
	}
	w.left--
	if w.dead {
		return errKilled
	}
	return nil
}

// call makes a call, in a process that may end.
func call[T any](w *walked, do func() (T, error)) (T, error) {
	defer func() { w.dead = false }()
	return do()
}

func (w *walked) exchange(ctx context.Context, form url.Values) (TokenAnswer, error) {
	return call(w, func() (TokenAnswer, error) { return w.Token(ctx, slug, nil, form) })
}

func (w *walked) takeBack(ctx context.Context, token string) error {
	_, err := call(w, func() (any, error) {
		return nil, w.Revoke(ctx, slug, nil, url.Values{"token": {token}, "client_id": {"one"}})
	})
	return err
}

// killAt launches an app, and ends the process at an operation. over reports that there are not so many.
func killAt(t *testing.T, launch string, point int) (over bool) {
	t.Helper()
	r, request := patientApp(t)
	if _, err := r.smart.Server(t.Context(), slug); err != nil {
		t.Fatal(err)
	}
	w := &walked{rig: r, left: point}
	r.rows.Fault = w.fault
	answer := w.launchWhatever(t, request, launch)
	codes, spent, indexed := 0, 0, 0
	for _, row := range r.rows.All() {
		switch {
		case strings.HasPrefix(row.Name, "c_"):
			codes++
		case strings.HasPrefix(row.Name, "l_") && strings.Contains(row.Value, `"Used":true`):
			spent++
		case strings.HasPrefix(row.Partition, "u"):
			indexed++
		}
	}
	if launch != "" && codes > spent {
		t.Errorf("killed at %d: %d codes were issued for %d launches", point, codes, spent)
	}
	if alive, all := r.alive(t), len(r.grants(t)); alive != 1 || all > codes || indexed > all {
		t.Errorf("killed at %d: of %d codes came %d grants, %d of them alive, and %d entries in the list", point, codes, all, alive, indexed)
	}
	again, err := w.exchange(t.Context(), refreshForm(answer))
	if err != nil { // the answer was lost: it is repeated within a minute
		again, err = w.exchange(t.Context(), refreshForm(answer))
	}
	if err != nil {
		t.Fatalf("killed at %d: %v", point, err)
	}
	if err := w.takeBack(t.Context(), again.RefreshToken); err != nil {
		if err := w.takeBack(t.Context(), again.RefreshToken); err != nil {
			t.Fatalf("killed at %d: %v", point, err)
		}
	}
	r.rows.Fault = nil
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(again)); codeOf(err) != oauth.InvalidGrant || r.alive(t) != 0 {
		t.Errorf("killed at %d: revoked, and alive: %v, %d grants", point, err, r.alive(t))
	}
	return !w.killed
}

// failAtSpend makes the next exchange of a code end just before it spends the code.
func (r *rig) failAtSpend(t *testing.T, form url.Values) {
	t.Helper()
	r.rows.Fault = func(op string, k store.Key, before bool) error {
		if op == "Swap" && before && strings.HasPrefix(k.Name, "c_") {
			return fmt.Errorf("%w: canary", store.ErrUnavailable)
		}
		return nil
	}
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != "upstream_unavailable" {
		t.Fatal(err)
	}
	r.rows.Fault = nil
	if n := r.alive(t); n != 0 {
		t.Errorf("%d grants are alive after an exchange that failed", n)
	}
}

// TestTriedAgain: a code that is exchanged once more, because it could not be spent, leads to the same grant, also if
// meanwhile a day has begun, or the settings or the app were changed.
func TestTriedAgain(t *testing.T) {
	const offline = "patient/*.rs offline_access"
	days := func(n int) func(*testing.T, *rig) {
		return func(t *testing.T, r *rig) { r.put(t, fmt.Sprintf(`{"tokens":"fhirlink","refreshDays":%d}`, n)) }
	}
	for name, tt := range map[string]struct {
		scope     string
		meanwhile func(*testing.T, *rig)
		refreshes bool
		listed    int
	}{
		"offline":                              {offline, nil, true, 1},
		"online":                               {"patient/*.rs online_access", nil, true, 1},
		"without a refresh token":              {"patient/*.rs", nil, false, 0},
		"fewer days":                           {offline, days(3), true, 1},
		"more days":                            {offline, days(90), true, 1},
		"fewer days, and more":                 {offline, func(t *testing.T, r *rig) { days(3)(t, r); days(90)(t, r) }, true, 1},
		"offline_access is taken from the app": {offline, func(t *testing.T, r *rig) { r.change(t, `{"scopes":["patient/*.rs"]}`) }, false, 1},
	} {
		r, request := patientApp(t)
		days(89)(t, r)
		r.pass(r.clock().Truncate(24 * time.Hour).Add(24*time.Hour - time.Minute).Sub(r.clock())) // a minute before midnight
		form := r.signIn(t, with(request, "scope="+tt.scope), pat)
		r.failAtSpend(t, form)
		r.failAtSpend(t, form)
		r.pass(time.Minute)
		if tt.meanwhile != nil {
			tt.meanwhile(t, r)
		}
		answer := r.tokens(t, form)
		indexed := 0
		for _, row := range r.rows.All() {
			if strings.HasPrefix(row.Partition, "u") {
				indexed++
			}
		}
		if n := len(r.grants(t)); n != 1 || r.alive(t) != 1 || indexed != tt.listed {
			t.Errorf("%s: there are %d grants, %d of them alive, and %d in the list", name, n, r.alive(t), indexed)
		}
		for k, g := range r.grants(t) {
			if day := fmt.Sprintf("g%08x", g.End.Unix()/(24*60*60)); !strings.HasPrefix(k.Partition, day) && tt.meanwhile == nil || k.Partition < day {
				t.Errorf("%s: a grant that ends at %v is removed with %s", name, g.End, k.Partition)
			}
		}
		if tt.refreshes {
			answer = r.tokens(t, refreshForm(answer))
		} else if answer.RefreshToken != "" {
			t.Errorf("%s: there is a refresh token", name)
		}
		if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {answer.AccessToken}, "client_id": {"one"}}); err != nil || r.alive(t) != 0 {
			t.Errorf("%s: %v, %d grants are alive", name, err, r.alive(t))
		}
		if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant || r.alive(t) != 0 {
			t.Errorf("%s: the code counts again: %v", name, err)
		}
	}
}

// TestExchangedMeanwhile: while a code is being exchanged, somebody else exchanges it: at every operation in between, also
// after a try that was cut short, and also if the slower one ends or fails there. One of them is granted, and either
// the grant ends, or its holder can use it; a grant that was revoked meanwhile stays so.
func TestExchangedMeanwhile(t *testing.T) {
	for name, and := range map[string]func(t *testing.T, r *rig, a TokenAnswer) TokenAnswer{
		"exchanged": func(_ *testing.T, _ *rig, a TokenAnswer) TokenAnswer { return a },
		"refreshed": func(t *testing.T, r *rig, a TokenAnswer) TokenAnswer { return r.tokens(t, refreshForm(a)) },
		"revoked": func(t *testing.T, r *rig, a TokenAnswer) TokenAnswer {
			if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {a.RefreshToken}, "client_id": {"one"}}); err != nil {
				t.Error(err)
			}
			return a
		},
	} {
		for _, cutShort := range []bool{false, true} {
			for _, end := range []struct {
				what, prefix string
				dies, fails  bool
			}{
				{"goes on", "", false, false},
				{"dies at once", "", true, false},
				{"dies when it would list the grant", "u", true, false},
				{"dies when it would spend the code", "t", true, false},
				{"fails to list the grant", "u", false, true},
				{"fails to spend the code", "t", false, true},
			} {
				what := fmt.Sprintf("%s, cut short before: %v, the slower one %s", name, cutShort, end.what)
				point := 0
				for reached := true; reached; point++ {
					r, request := patientApp(t)
					form := r.signIn(t, request, pat)
					if cutShort {
						r.failAtSpend(t, form)
					}
					var (
						left   = point
						dead   bool
						faster TokenAnswer
						err    error
					)
					reached = false
					r.rows.Fault = func(op string, k store.Key, _ bool) error {
						if left--; left != -1 {
							switch now := reached && strings.HasPrefix(k.Partition, end.prefix); {
							case end.dies && (dead || now):
								dead = true
								return errKilled
							case end.fails && !dead && now && op == "Swap":
								dead = true // but only this operation fails
								return fmt.Errorf("%w: canary", store.ErrUnavailable)
							}
							return nil
						}
						fault := r.rows.Fault
						r.rows.Fault, reached = nil, true
						if faster, err = r.Token(t.Context(), slug, nil, form); err == nil {
							faster = and(t, r, faster)
						}
						r.rows.Fault = fault
						return nil
					}
					_, slower := r.Token(t.Context(), slug, nil, form)
					r.rows.Fault = nil
					switch alive := r.alive(t); {
					case !reached:
						if slower != nil {
							t.Errorf("%s: %v", what, slower)
						}
					case alive > 1, alive > 0 && !end.dies && !end.fails:
						t.Errorf("%s, at %d: %d grants are alive: %v, %v", what, point, alive, err, slower)
					case alive == 0:
						if !end.dies && !end.fails && (err == nil) == (slower == nil) {
							t.Errorf("%s, at %d: %v, %v", what, point, err, slower)
						}
					case name == "revoked":
						if err == nil {
							t.Errorf("%s, at %d: what was revoked is alive", what, point)
						}
					case err == nil:
						if _, lost := r.Token(t.Context(), slug, nil, refreshForm(faster)); lost != nil {
							t.Errorf("%s, at %d: the grant is alive, and its holder cannot use it: %v", what, point, lost)
						}
					}
				}
				if point < 9 {
					t.Errorf("%s: only %d operations", what, point)
				}
			}
		}
	}
}

// launchWhatever launches until there are tokens, as an EHR, an app and its user do. launch is what the EHR opens
// the app for; empty: the app is started by itself.
func (w *walked) launchWhatever(t *testing.T, request url.Values, launch string) TokenAnswer {
	t.Helper()
	for range 4 {
		if launch != "" {
			made, err := call(w, func() (ehr.Created, error) {
				return w.ehr.Create(t.Context(), orgA, slug, read[ehr.NewLaunch](t, launch))
			})
			if err != nil {
				continue
			}
			request.Set("launch", made.Launch)
		}
		begun, err := call(w, func() (Begun, error) { return w.Authorize(t.Context(), slug, request) })
		if err != nil {
			continue
		}
		query := w.entraAnswers(t, begun, pat)
		callback := func() (Answered, error) { return w.callback(t.Context(), begun, query) }
		answered, err := call(w, callback)
		if err != nil && codeOf(err) != "app server_error" {
			answered, err = call(w, callback) // the user reloads
		}
		if err != nil {
			continue
		}
		form := w.formOf(t, request, answered)
		answer, err := w.exchange(t.Context(), form)
		if err != nil {
			answer, err = w.exchange(t.Context(), form)
		}
		if err == nil {
			return answer
		}
	}
	t.Fatal("there is no way to tokens")
	return TokenAnswer{}
}

// TestNothingIsShown: no handle, code, token or patient is in any row in plain words, in the log, or in what
// an error says.
func TestNothingIsShown(t *testing.T) {
	r, request := patientApp(t)
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	query := r.entraAnswers(t, begun, pat)
	answered, err := r.callback(t.Context(), begun, query)
	if err != nil {
		t.Fatal(err)
	}
	form := r.formOf(t, request, answered)
	answer := r.tokens(t, form)
	again := r.tokens(t, refreshForm(answer))
	_, errs := r.Token(t.Context(), slug, nil, form)
	secrets := []string{
		begun.Cookie.Value, query.Get("code"), form.Get("code"), strings.TrimPrefix(form.Get("code"), "flc_"), answer.AccessToken, answer.IDToken, answer.RefreshToken, again.RefreshToken, again.AccessToken, linkSecret, verifier, "canary",
	}
	shown := r.log.String() + fmt.Sprintf("%v %+v %v %+v %#v", errs, errs, answer, answered, begun)
	for _, row := range r.rows.All() {
		if row.Partition[0] != 'a' {
			shown += row.Partition + row.Name + row.Value
		}
	}
	for _, one := range secrets {
		if strings.Contains(shown, one) {
			t.Errorf("%.12s… is shown", one)
		}
	}
	if !strings.Contains(r.log.String(), `"msg":"smart.token"`) || !strings.Contains(r.log.String(), `"client":"one"`) {
		t.Error(r.log.String())
	}
}

// TestKeysRotate: both kinds of keys change under way, and what was granted before goes on.
func TestKeysRotate(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, request, pat))
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	r.key.Add("2", r.clock())
	if _, err := r.sealing.Put(t.Context(), "fhirlink-seal", secret.New(base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))), secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Minute)
	if _, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat)); err != nil {
		t.Errorf("a request from before: %v", err)
	}
	r.pass(2 * time.Hour)
	answer = r.tokens(t, refreshForm(answer))
	r.pass(30 * time.Hour)
	answer = r.tokens(t, refreshForm(answer))
	r.claimsOf(t, answer.AccessToken, "at+jwt")
	r.tokens(t, r.signIn(t, request, pat))
}

// TestSealingKeyIsWithdrawn: every grant that began with a key that is disabled has ended, refreshed since or not, and
// apps are told to begin again.
func TestSealingKeyIsWithdrawn(t *testing.T) {
	r, request := patientApp(t)
	answer, refreshed := r.tokens(t, r.signIn(t, request, pat)), r.tokens(t, r.signIn(t, request, pat))
	versions, err := r.sealing.Versions(t.Context(), "fhirlink-seal")
	if err != nil || len(versions) != 1 {
		t.Fatal(versions, err)
	}
	if _, err := r.sealing.Put(t.Context(), "fhirlink-seal", secret.New(base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))), secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Hour)
	refreshed = r.tokens(t, refreshForm(refreshed))
	if err := r.sealing.Update(t.Context(), "fhirlink-seal", versions[0].ID, false, secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Hour)
	for _, held := range []TokenAnswer{answer, refreshed} {
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(held)); codeOf(err) != oauth.InvalidGrant {
			t.Errorf("a refresh token of a key that is disabled: %v", err)
		}
	}
	r.tokens(t, r.signIn(t, request, pat))
}

// TestAtOnce: of several that bring one state or one code, exactly one succeeds; whoever brings a code that
// is spent ends what came of it.
func TestAtOnce(t *testing.T) {
	r, request := patientApp(t)
	for range 5 {
		begun, err := r.Authorize(t.Context(), slug, request)
		if err != nil {
			t.Fatal(err)
		}
		query := r.entraAnswers(t, begun, pat)
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			answers []Answered
			tokens  []TokenAnswer
		)
		for range 6 {
			wg.Go(func() {
				switch answered, err := r.callback(t.Context(), begun, query); codeOf(err) {
				case "ok":
					mu.Lock()
					defer mu.Unlock()
					answers = append(answers, answered)
				case "page already_used":
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(answers) != 1 {
			t.Fatalf("%d callbacks have succeeded", len(answers))
		}
		form := r.formOf(t, request, answers[0])
		for range 6 {
			wg.Go(func() {
				switch answer, err := r.Token(t.Context(), slug, nil, form); codeOf(err) {
				case "ok":
					mu.Lock()
					defer mu.Unlock()
					tokens = append(tokens, answer)
				case oauth.InvalidGrant:
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(tokens) != 1 {
			t.Fatalf("%d exchanges have succeeded", len(tokens))
		}
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(tokens[0])); codeOf(err) != oauth.InvalidGrant {
			t.Errorf("the grant of a code that was presented six times: %v", err)
		}
		alive := 0
		for _, row := range r.rows.All() {
			if row.Partition[0] == 'g' && !strings.Contains(row.Value, `"State":"revoked"`) {
				alive++
			}
		}
		if alive != 0 {
			t.Errorf("%d grants are alive", alive)
		}
	}
}

// TestRevokedMeanwhile: a grant that is revoked while it is refreshed, or refreshed while it is revoked, is dead: at every
// operation in between, by a refresh token or an access token, whatever the refresh was answered.
func TestRevokedMeanwhile(t *testing.T) {
	for _, by := range []string{"the refresh token", "the one before it", "the access token"} {
		for _, slower := range []string{"the refresh", "the revocation"} {
			point := 0
			for reached := true; reached; point++ {
				r, request := patientApp(t)
				before := r.tokens(t, r.signIn(t, request, pat))
				answer := r.tokens(t, refreshForm(before))
				token := map[string]string{"the refresh token": answer.RefreshToken, "the one before it": before.RefreshToken, "the access token": answer.AccessToken}[by]
				var (
					refreshed TokenAnswer
					err       error
				)
				refresh := func() { refreshed, err = r.Token(t.Context(), slug, nil, refreshForm(answer)) }
				revoke := func() {
					if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {token}, "client_id": {"one"}}); err != nil {
						t.Errorf("by %s, slower is %s, at %d: the revocation: %v", by, slower, point, err)
					}
				}
				slow, fast := refresh, revoke
				if slower == "the revocation" {
					slow, fast = revoke, refresh
				}
				left := point
				reached = false
				r.rows.Fault = func(string, store.Key, bool) error {
					if left--; left == -1 {
						reached = true
						fast()
					}
					return nil
				}
				slow()
				r.rows.Fault = nil
				if !reached {
					fast()
				}
				if err != nil && codeOf(err) != oauth.InvalidGrant {
					t.Errorf("by %s, slower is %s, at %d: the refresh: %v", by, slower, point, err)
				}
				if r.alive(t) != 0 {
					t.Errorf("by %s, slower is %s, at %d: the grant is alive", by, slower, point)
				}
				for _, g := range r.grants(t) {
					if written := g.Generation == 2; written != (err == nil) {
						t.Errorf("by %s, slower is %s, at %d: the refresh is written: %v; it is answered: %v", by, slower, point, written, err)
					}
				}
				for _, held := range []TokenAnswer{before, answer, refreshed} {
					if _, err := r.Token(t.Context(), slug, nil, refreshForm(held)); codeOf(err) == "ok" {
						t.Errorf("by %s, slower is %s, at %d: a refresh token is good", by, slower, point)
					}
				}
			}
			if point < 4 {
				t.Errorf("%s: only %d operations", slower, point)
			}
		}
	}
}

// TestRevokedAtOnce: of refreshes and a revocation at once, the revocation wins in the end.
func TestRevokedAtOnce(t *testing.T) {
	r, request := patientApp(t)
	for range 5 {
		answer := r.tokens(t, r.signIn(t, request, pat))
		var (
			wg   sync.WaitGroup
			held = make([]TokenAnswer, 5)
		)
		for i := range held {
			wg.Go(func() {
				again, err := r.Token(t.Context(), slug, nil, refreshForm(answer))
				if err != nil && codeOf(err) != oauth.InvalidGrant {
					t.Error(err)
				}
				held[i] = again
			})
		}
		wg.Go(func() {
			if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {answer.RefreshToken}, "client_id": {"one"}}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if r.alive(t) != 0 {
			t.Errorf("%d grants are alive", r.alive(t))
		}
		for _, one := range append(held, answer) {
			if _, err := r.Token(t.Context(), slug, nil, refreshForm(one)); codeOf(err) == "ok" {
				t.Error("a refresh token is good after the revocation")
			}
		}
	}
}

// TestWhatIsTakenAway: what an organization takes away from an app counts at once, wherever a launch is.
func TestWhatIsTakenAway(t *testing.T) {
	const less = `{"scopes":["openid","fhirUser","launch/patient","offline_access","patient/Patient.rs"]}`
	const want = "openid fhirUser launch/patient offline_access patient/Patient.r"
	r, request := patientApp(t)
	request.Set("scope", "openid fhirUser launch/patient offline_access patient/Patient.r patient/Observation.rs")
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	query := r.entraAnswers(t, begun, pat)
	form, granted := r.signIn(t, request, pat), r.tokens(t, r.signIn(t, request, pat))
	r.change(t, less)
	answered, err := r.callback(t.Context(), begun, query)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]TokenAnswer{"a request": r.tokens(t, r.formOf(t, request, answered)), "a code": r.tokens(t, form), "a grant": r.tokens(t, refreshForm(granted))} {
		if answer.Scope != want || r.claimsOf(t, answer.AccessToken, "at+jwt")["scope"] != want {
			t.Errorf("%s from before: %q", name, answer.Scope)
		}
	}
	begun, err = r.Authorize(t.Context(), slug, with(request, "scope=patient/Patient.r offline_access"))
	if err != nil {
		t.Fatal(err)
	}
	query = r.entraAnswers(t, begun, pat)
	form, granted = r.signIn(t, request, pat), r.tokens(t, r.signIn(t, request, pat))
	r.change(t, `{"scopes":["openid","offline_access"]}`)
	if _, err := r.callback(t.Context(), begun, query); codeOf(err) != "app access_denied" {
		t.Errorf("a request of which nothing is left: %v", err)
	}
	for name, form := range map[string]url.Values{"a code": form, "a grant": refreshForm(granted)} {
		if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
			t.Errorf("%s of which no data is left: %v", name, err)
		}
	}

	r, request = patientApp(t)
	form = r.signIn(t, request, pat)
	r.change(t, `{"redirectUris":["https://app.example/other"]}`)
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("a code for an address that was taken away: %v", err)
	}
}

// TestAnotherServer: the patients of one FHIR server are not those of another one, to which the link was
// changed.
func TestAnotherServer(t *testing.T) {
	for name, change := range map[string]func(*link.Link){
		"FHIR server": func(l *link.Link) { l.FHIRServerURL = "https://other.example/fhir" },
		"tenant":      func(l *link.Link) { l.TenantID = "33333333-3333-4333-8333-333333333333" },
	} {
		r, request := patientApp(t)
		begun, err := r.Authorize(t.Context(), slug, request)
		if err != nil {
			t.Fatal(err)
		}
		query := r.entraAnswers(t, begun, pat)
		form, granted := r.signIn(t, request, pat), r.tokens(t, r.signIn(t, request, pat))
		l := r.links[slug]
		change(&l)
		r.links[slug] = l
		r.smart.Forget(slug)
		if _, err := r.callback(t.Context(), begun, query); codeOf(err) != "page request_expired" {
			t.Errorf("%s, a request: %v", name, err)
		}
		for what, form := range map[string]url.Values{"a code": form, "a grant": refreshForm(granted)} {
			if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// TestNoDataIsLeft: an app that asks for data gets some, or is refused.
func TestNoDataIsLeft(t *testing.T) {
	r, request := patientApp(t)
	for _, scope := range []string{"openid system/*.rs", "openid custom"} {
		if _, err := r.Authorize(t.Context(), slug, with(request, "scope="+scope)); codeOf(err) != "app access_denied" {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

// TestRefreshIsBounded: the scope of a refresh is read as that of a request is.
func TestRefreshIsBounded(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, with(request, "scope=offline_access patient/*.rs"), pat))
	for name, scope := range map[string]string{
		"too many":  strings.Repeat("patient/Observation.rs ", 201),
		"too long":  "patient/Observation.rs?category=" + strings.Repeat("x", 9000),
		"malformed": "patient/Observation.sr",
		"no scope":  "patient/Observation.rs\\",
	} {
		if _, err := r.Token(t.Context(), slug, nil, with(refreshForm(answer), "scope="+scope)); codeOf(err) != oauth.InvalidScope {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.put(t, `{"tokens":"fhirlink","server":"ahds"}`)
	if _, err := r.Token(t.Context(), slug, nil, with(refreshForm(answer), "scope=patient/Observation.read patient/Patient.rs")); codeOf(err) != oauth.InvalidScope {
		t.Errorf("versions are mixed: %v", err)
	}
	r.tokens(t, with(refreshForm(answer), "scope=patient/Observation.read"))
}

// TestTransientRefusals: what Entra says because it is busy, or of our own secret, ends no grant, whatever its
// error is called.
func TestTransientRefusals(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, request, pat))
	for name, tt := range map[string]struct {
		status, number int
		oauth, want    string
	}{
		"503":               {503, 90033, "invalid_grant", "upstream_unavailable"},
		"429":               {429, 50196, "invalid_grant", "upstream_unavailable"},
		"a loop":            {400, 50196, "invalid_grant", "upstream_unavailable"},
		"our secret":        {400, 7000222, "invalid_grant", "upstream_unavailable"},
		"an unknown secret": {400, 7000215, "invalid_grant", "upstream_unavailable"},
		"consent":           {400, 65001, "consent_required", oauth.InvalidGrant},
		"sign in":           {400, 50058, "login_required", oauth.InvalidGrant},
		"blocked":           {400, 53003, "access_denied", oauth.InvalidGrant},
	} {
		r.entra.Before = r.entra.Refuse(tt.status, tt.oauth, tt.number, "The user canary@example.org is not assigned.")
		_, err := r.Token(t.Context(), slug, nil, refreshForm(answer))
		if codeOf(err) != tt.want || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		r.entra.Before = nil
		if answer, err = r.Token(t.Context(), slug, nil, refreshForm(answer)); err != nil {
			t.Fatalf("after %s the grant is dead: %v", name, err)
		}
	}
}

// TestWhoMayEndAGrant: a code that was spent ends its grant for its own app only.
func TestWhoMayEndAGrant(t *testing.T) {
	r, request := patientApp(t)
	r.create(t, `{"clientId":"two","name":"Two","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid"]}`)
	form := r.signIn(t, request, pat)
	answer := r.tokens(t, form)
	if _, err := r.Token(t.Context(), slug, nil, with(form, "client_id=two")); codeOf(err) != oauth.InvalidGrant {
		t.Error(err)
	}
	answer = r.tokens(t, refreshForm(answer))
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("the code was presented by its own app: %v", err)
	}
}

// TestClientFirst: who asks is checked before what is asked.
func TestClientFirst(t *testing.T) {
	r, _ := patientApp(t)
	r.create(t, `{"clientId":"conf","name":"Conf","type":"symmetric","redirectUris":["https://app.example/cb"],"scopes":["openid"]}`)
	for _, grantType := range []string{"refresh_token", "authorization_code"} {
		if _, err := r.Token(t.Context(), slug, nil, url.Values{"grant_type": {grantType}, "client_id": {"conf"}, "client_secret": {"wrong"}}); codeOf(err) != oauth.InvalidClient {
			t.Errorf("%s: %v", grantType, err)
		}
	}
	if err := r.Revoke(t.Context(), slug, nil, url.Values{}); codeOf(err) != oauth.InvalidRequest {
		t.Errorf("revoke nothing: %v", err)
	}
}

// TestClientKeys: what requests are limited by is small, whatever strangers send.
func TestClientKeys(t *testing.T) {
	r, _ := patientApp(t)
	for client, want := range map[string]string{"one": "clinic one", "two": "clinic", strings.Repeat("x", 60_000): "clinic", "": "clinic"} {
		if key, err := r.Client(t.Context(), slug, client); err != nil || key != want {
			t.Errorf("%.10q: %.20q, %v", client, key, err)
		}
	}
	if _, err := r.Client(t.Context(), "none", "one"); !errors.Is(err, smartauth.ErrUnknown) {
		t.Error(err)
	}
}

// TestKeysRotateUnderTraffic: while apps launch and refresh, both kinds of keys get new versions and lose old
// ones, and every token is signed by a key that is published.
func TestKeysRotateUnderTraffic(t *testing.T) {
	r, request := patientApp(t)
	var (
		wg    sync.WaitGroup
		stop  = make(chan struct{})
		hour  sync.RWMutex // time stands still while a token is got and checked
		turns atomic.Int64
	)
	for range 3 {
		wg.Go(func() {
			answer := r.tokens(t, r.signIn(t, request, pat))
			turn := func(signIn bool) {
				hour.RLock()
				defer hour.RUnlock()
				answer = r.tokens(t, refreshForm(answer))
				r.claimsOf(t, answer.AccessToken, "at+jwt")
				if signIn {
					r.claimsOf(t, r.tokens(t, r.signIn(t, request, pat)).AccessToken, "at+jwt")
				}
			}
			for n := range math.MaxInt {
				select {
				case <-stop:
					return
				default:
					turn(n%10 == 0)
					turns.Add(1)
				}
			}
		})
	}
	for i := range 3 {
		r.key.Add(fmt.Sprint("new-", i), r.clock())
		key := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(fmt.Sprint(i), 32)))
		if _, err := r.sealing.Put(t.Context(), "fhirlink-seal", secret.New(key), secret.Attributes{}); err != nil {
			t.Error(err)
		}
		for range 30 { // a day and more, in steps that every reader of keys sees
			hour.Lock()
			r.pass(time.Hour)
			hour.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
		for before := turns.Load(); turns.Load() < before+30 && !t.Failed(); { // of which some sign in
			time.Sleep(time.Millisecond)
		}
		if i > 0 {
			r.key.Remove(fmt.Sprint("new-", i-1))
		}
	}
	close(stop)
	wg.Wait()
}

// TestNoStrangersInTheLog: the log names apps that are registered, and nothing that stands in the place of a client
// id: client secrets and tokens have its syntax, and whoever swaps the halves of Basic would find them there.
func TestNoStrangersInTheLog(t *testing.T) {
	r, request := patientApp(t)
	secret := r.create(t, `{"clientId":"conf","name":"Conf","type":"symmetric","redirectUris":["https://app.example/cb"],"scopes":["openid","offline_access"]}`).Reveal()
	answer := r.tokens(t, r.signIn(t, request, pat))
	signed := func(sub string) string {
		return r.assertion(func(a *assertion) { a.claims["iss"], a.claims["sub"] = sub, sub })
	}
	const kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	before := len(r.log.String())
	for _, canary := range []string{secret, answer.RefreshToken, strings.TrimPrefix(answer.RefreshToken, "flr_"), "fls_canary", "flc_canary", "fll_canary", "unknown-canary"} {
		for name, tt := range map[string]struct {
			header []string
			form   []string
		}{
			"client_id":                 {nil, []string{"client_id=" + canary}},
			"client_id with a secret":   {nil, []string{"client_id=" + canary, "client_secret=conf"}},
			"Basic, swapped":            {basicOf(canary + ":conf"), nil},
			"Basic, encoded":            {basicOf(url.QueryEscape(canary) + ":"), nil},
			"Basic, and another client": {basicOf("conf:" + secret), []string{"client_id=" + canary}},
			"Basic of another client":   {basicOf(canary + ":x"), []string{"client_id=conf"}},
			"no Basic":                  {[]string{"Bearer " + canary}, []string{"client_id=" + canary}},
			"two headers":               {append(basicOf(canary+":x"), basicOf("conf:x")...), []string{"client_id=" + canary}},
			"two ways":                  {basicOf(canary + ":x"), []string{"client_secret=x"}},
			"an assertion's sub":        {nil, []string{"client_assertion=" + signed(canary), kind}},
			"that of another client":    {nil, []string{"client_assertion=" + signed(canary), kind, "client_id=conf"}},
			"a client_id beside it":     {nil, []string{"client_assertion=" + signed("conf"), kind, "client_id=" + canary}},
			"no assertion":              {nil, []string{"client_assertion=x", kind, "client_id=" + canary}},
		} {
			logged := len(r.log.String())
			for _, grant := range []string{"grant_type=authorization_code", "grant_type=client_credentials", "grant_type=refresh_token"} {
				if _, err := r.Token(t.Context(), slug, tt.header, with(url.Values{}, append(tt.form, grant)...)); codeOf(err) == "ok" {
					t.Errorf("%s, %s: it is granted", name, grant)
				}
			}
			_ = r.Revoke(t.Context(), slug, tt.header, with(url.Values{}, append(tt.form, "token="+answer.AccessToken)...))
			if lines := strings.Count(r.log.String()[logged:], `"msg":"smart.token"`); lines != 4 {
				t.Errorf("%s: %d lines in the log", name, lines)
			}
			if strings.Contains(r.log.String()[logged:], canary) {
				t.Errorf("%s: %.8s… is in the log", name, canary)
			}
		}
		_, _ = r.Authorize(t.Context(), slug, with(request, "client_id="+canary))
	}
	log := r.log.String()[before:]
	if strings.Contains(log, secret) || strings.Contains(log, answer.RefreshToken) || strings.Contains(log, "canary") {
		t.Error("a secret or a token is in the log")
	}
	before = len(r.log.String())
	r.tokens(t, with(refreshForm(answer), "-client_id"))
	if _, err := r.Token(t.Context(), slug, basicOf("conf:wrong"), url.Values{"grant_type": {"authorization_code"}}); codeOf(err) != oauth.InvalidClient {
		t.Error(err)
	}
	if log := r.log.String()[before:]; !strings.Contains(log, `"client":"one"`) || !strings.Contains(log, `"client":"conf"`) {
		t.Errorf("the log does not name apps: %s", log)
	}
}
