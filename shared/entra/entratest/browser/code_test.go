package browser_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/secret"
)

const (
	linkApp   = "22222222-2222-4222-8222-222222222222"
	pageApp   = "33333333-3333-4333-8333-333333333333" // of the platform SPA
	deviceApp = "55555555-5555-4555-8555-555555555555" // of the platform Public
	otherApp  = "77777777-7777-4777-8777-777777777777"
	password  = "sandbox-secret"
	fhir      = "https://clinic.fhir.sandbox.test"
	callback  = public + "/api/smart/clinic/callback"
	verifier  = "verifier-verifier-verifier-verifier-verifier"

	adaID = "a0a0a0a0-0000-4000-8000-000000000001"
	patID = "a0a0a0a0-0000-4000-8000-000000000005"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// coder is a visitor of a site with applications that ask for codes, and what redeems them.
type coder struct {
	*visitor
	authority *entratest.Authority
	signIns   *webauth.SignIns
	ids       *entra.Applications
	now       time.Time
}

func newCoder(t *testing.T) *coder {
	c := &coder{now: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)}
	clinic := entratest.Tenant{
		ID: browser.Clinic, Name: "Clinic",
		Knows: func(resource string) bool {
			return strings.HasPrefix(resource, "https://") && !strings.Contains(resource, "nowhere")
		},
		Defines: func(_, scope string) bool {
			return strings.HasPrefix(scope, "user.") || strings.HasPrefix(scope, "patient.")
		},
		Apps: []entratest.App{
			{ClientID: linkApp, Secrets: []entratest.Secret{{Value: password}, {Value: "expired", ExpiresOn: c.now}}},
			{ClientID: otherApp, Secrets: []entratest.Secret{{Value: password}}, Consented: map[string][]string{fhir: {"user.Patient.rs", "user.Observation.rs"}}},
			{ClientID: pageApp, Redirects: []entratest.RedirectURI{{URI: "https://app.example/", Platform: entratest.SPA}}},
			{ClientID: deviceApp, Redirects: []entratest.RedirectURI{{URI: "app.example://back", Platform: entratest.Public}}},
			{ClientID: browser.Partner, Disabled: true},
		},
	}
	c.authority = entratest.New(clinic, entratest.Tenant{ID: browser.Partner, Apps: []entratest.App{{ClientID: linkApp, Secrets: []entratest.Secret{{Value: password}}}}})
	c.authority.URL = "https://login.sandbox.test/"
	c.authority.Now = func() time.Time { return c.now }
	c.visitor = &visitor{t, browser.New(c.authority, address, public, clientID), map[string]*http.Cookie{}}
	c.signIns = &webauth.SignIns{Client: c.authority.Client()}
	c.ids = entra.NewApplications(c.authority.Client(), c.authority.Now)
	return c
}

func (c *coder) credentials() entra.Credentials {
	return entra.Credentials{Authority: c.authority.URL, TenantID: browser.Clinic, ClientID: linkApp, Credential: credential.ClientSecret{Value: secret.New(password)}}
}

// ask is the path of a request for a code, with changes; "" leaves a parameter out.
func ask(changes map[string]string) string {
	query := url.Values{
		"client_id": {linkApp}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email offline_access"},
		"nonce": {"n-1"}, "state": {"s-1 &ü"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	tenant := browser.Clinic
	for name, value := range changes {
		if name == "tenant" {
			tenant = value
			continue
		}
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
	}
	return "/" + tenant + "/oauth2/v2.0/authorize?" + query.Encode()
}

// code signs a user in and returns the code.
func (c *coder) code(user string, changes map[string]string) string {
	c.t.Helper()
	w := c.visit(http.MethodPost, ask(changes), "user="+user)
	back, err := url.Parse(w.Header().Get("Location"))
	code := back.Query().Get("code")
	if err != nil || w.Code != http.StatusFound || code == "" {
		c.t.Fatalf("%d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return code
}

// tokens signs a user in and redeems the code.
func (c *coder) tokens(user string, changes map[string]string) entra.UserTokens {
	c.t.Helper()
	tokens, err := c.signIns.Redeem(c.t.Context(), c.credentials(), secret.New(c.code(user, changes)), secret.New(verifier), callback)
	if err != nil {
		c.t.Fatal(err)
	}
	return tokens
}

// claims are those of a token of the authority.
func (c *coder) claims(token secret.Value) (claims map[string]any) {
	c.t.Helper()
	if _, err := c.authority.Check(token.Reveal()); err != nil {
		c.t.Fatal(err)
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Reveal(), ".")[1])
	if err != nil || json.Unmarshal(data, &claims) != nil {
		c.t.Fatal(err)
	}
	return claims
}

func TestCode(t *testing.T) {
	c := newCoder(t)
	w := c.visit(http.MethodGet, ask(map[string]string{"scope": "openid profile email offline_access " + fhir + "/user.Observation.rs"}), "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Pat Patient") || !strings.Contains(w.Body.String(), "<li>user.Observation.rs</li>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = c.visit(http.MethodPost, ask(map[string]string{"scope": "openid profile email offline_access " + fhir + "/user.Observation.rs"}), "user=ada")
	back, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusFound || !strings.HasPrefix(back.String(), callback+"?") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	code := back.Query().Get("code")
	if n := len(code); n < 1190 || n > 1300 || back.Query().Get("state") != "s-1 &ü" || !back.Query().Has("session_state") || len(back.Query()) != 3 {
		t.Errorf("%d characters, %v", len(code), back.Query())
	}
	tokens, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(code), secret.New(verifier), callback)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tokens.Refresh.Reveal()); n < 1490 || n > 1600 || tokens.Scope != fhir+"/user.Observation.rs" {
		t.Errorf("%d characters, scope %q", n, tokens.Scope)
	}
	who, err := c.ids.Validate(t.Context(), c.credentials(), tokens.ID.Reveal(), "n-1")
	if err != nil || who.ObjectID != adaID || who.Name != "Ada Lovelace" || who.Username != "ada@clinic.sandbox.test" || who.Email != who.Username || who.Claims["fhirUser"] != "Practitioner/1" || who.Claims["roles"] != nil {
		t.Errorf("%v %#v", err, who.Claims)
	}
	access := c.claims(tokens.Access)
	for name, want := range map[string]any{"aud": fhir, "scp": "user.Observation.rs", "oid": adaID, "tid": browser.Clinic, "appid": linkApp, "name": "Ada Lovelace", "roles": nil} {
		if access[name] != want {
			t.Errorf("%s is %v", name, access[name])
		}
	}
	first := tokens.Refresh
	for range 2 { // a refresh token stays good beside the next one
		again, err := c.signIns.Refresh(t.Context(), c.credentials(), first, "openid offline_access")
		if err != nil || again.Refresh.IsZero() || again.Refresh.Equal(first) || again.ID.IsZero() || again.Scope != tokens.Scope {
			t.Fatalf("%+v, %v", again, err)
		}
		if claims := c.claims(again.ID); claims["nonce"] != nil || claims["oid"] != adaID {
			t.Errorf("%v", claims)
		}
		if _, err := c.signIns.Refresh(t.Context(), c.credentials(), again.Refresh, "openid offline_access"); err != nil {
			t.Error(err)
		}
	}
}

// TestAllConsentedScopes come back, whatever is asked for: those of the user, and those that an
// administrator has consented to.
func TestAllConsentedScopes(t *testing.T) {
	c := newCoder(t)
	scope := func(client, scope string) map[string]string {
		return map[string]string{"client_id": client, "scope": "openid " + scope}
	}
	for _, step := range []struct{ client, user, asked, want string }{
		{linkApp, "ada", fhir + "/user.Patient.rs", fhir + "/user.Patient.rs"},
		{linkApp, "ada", fhir + "/user.Observation.rs " + fhir + "/user.Encounter.rs", fhir + "/user.Patient.rs " + fhir + "/user.Observation.rs " + fhir + "/user.Encounter.rs"},
		{linkApp, "pat", fhir + "/patient.Patient.rs", fhir + "/patient.Patient.rs"},
		{linkApp, "ada", "https://other.example/user.x", "https://other.example/user.x"},
		{linkApp, "ada", fhir + "/.default", fhir + "/user.Patient.rs " + fhir + "/user.Observation.rs " + fhir + "/user.Encounter.rs"},
		{linkApp, "ada", "https://slash.example//user.x", "https://slash.example//user.x"},
		{otherApp, "ada", fhir + "/.default", fhir + "/user.Patient.rs " + fhir + "/user.Observation.rs"},
		{otherApp, "ada", fhir + "/user.Encounter.rs", fhir + "/user.Patient.rs " + fhir + "/user.Observation.rs " + fhir + "/user.Encounter.rs"},
		{linkApp, "ada", "", "openid"},
		{linkApp, "ada", "profile User.Read", "openid profile User.Read"},
	} {
		as := c.credentials()
		as.ClientID = step.client
		tokens, err := c.signIns.Redeem(t.Context(), as, secret.New(c.code(step.user, scope(step.client, step.asked))), secret.New(verifier), callback)
		if err != nil {
			t.Fatal(err)
		}
		if !sameScopes(tokens.Scope, step.want) || !tokens.Refresh.IsZero() {
			t.Errorf("%s %s asks for %q: scope %q", step.client, step.user, step.asked, tokens.Scope)
		}
		scp, _ := c.claims(tokens.Access)["scp"].(string)
		if resource, _, ok := strings.Cut(step.want, "/user."); ok && scp != strings.ReplaceAll(step.want, resource+"/", "") {
			t.Errorf("%s asks for %q: scp %q", step.user, step.asked, scp)
		}
	}
}

// sameScopes compares in any order: Entra promises none.
func sameScopes(a, b string) bool {
	set := func(scope string) map[string]bool {
		all := map[string]bool{}
		for _, one := range strings.Fields(scope) {
			all[one] = true
		}
		return all
	}
	return reflect.DeepEqual(set(a), set(b)) && len(strings.Fields(a)) == len(strings.Fields(b))
}

func TestCodeShownHere(t *testing.T) {
	c := newCoder(t)
	for name, step := range map[string]struct {
		changes map[string]string
		text    string
	}{
		"unknown application":            {map[string]string{"client_id": browser.Clinic}, "AADSTS700016"},
		"no application":                 {map[string]string{"client_id": ""}, "AADSTS700016"},
		"application of another tenant":  {map[string]string{"tenant": browser.Partner, "client_id": otherApp}, "AADSTS700016"},
		"no tenant":                      {map[string]string{"tenant": "organizations"}, "AADSTS50194"},
		"disabled":                       {map[string]string{"client_id": browser.Partner}, "AADSTS7000112"},
		"redirect of nobody":             {map[string]string{"redirect_uri": "https://evil.example/"}, "AADSTS50011"},
		"no redirect":                    {map[string]string{"redirect_uri": ""}, "AADSTS50011"},
		"redirect of the API":            {map[string]string{"redirect_uri": public + "/api/manage/signed-in"}, "AADSTS50011"},
		"redirect with a query":          {map[string]string{"redirect_uri": callback + "?x"}, "AADSTS50011"},
		"redirect with two segments":     {map[string]string{"redirect_uri": public + "/api/smart/a/b/callback"}, "AADSTS50011"},
		"callback of links, at a page":   {map[string]string{"client_id": pageApp}, "AADSTS50011"},
		"redirect of a page, at links":   {map[string]string{"redirect_uri": "https://app.example/"}, "AADSTS50011"},
		"redirect in another case":       {map[string]string{"client_id": pageApp, "redirect_uri": "https://APP.example/"}, "AADSTS50011"},
		"query that is too long":         {map[string]string{"x": strings.Repeat("x", 8<<10)}, "AADSTS90015"},
		"too long, with another mistake": {map[string]string{"x": strings.Repeat("x", 8<<10), "client_id": ""}, "AADSTS90015"},
	} {
		w := c.visit(http.MethodPost, ask(step.changes), "user=ada")
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), step.text+":") || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestCodeSentBack(t *testing.T) {
	c := newCoder(t)
	scope := func(s string) map[string]string { return map[string]string{"scope": "openid " + s} }
	for name, step := range map[string]struct {
		changes map[string]string
		oauth   string
		number  int
	}{
		"no response type":           {map[string]string{"response_type": ""}, "invalid_request", 900144},
		"ID token":                   {map[string]string{"response_type": "id_token"}, "unsupported_response_type", 700054},
		"both":                       {map[string]string{"response_type": "code id_token"}, "unsupported_response_type", 700054},
		"response mode":              {map[string]string{"response_mode": "web_message"}, "invalid_request", 70007},
		"no scope":                   {map[string]string{"scope": ""}, "invalid_request", 900144},
		"prompt":                     {map[string]string{"prompt": "maybe"}, "invalid_request", 90023},
		"challenge's method":         {map[string]string{"code_challenge_method": "S512"}, "invalid_request", 50149},
		"challenge too short":        {map[string]string{"code_challenge": "abc"}, "invalid_request", 501491},
		"challenge too long":         {map[string]string{"code_challenge": strings.Repeat("a", 129)}, "invalid_request", 501491},
		"method without a challenge": {map[string]string{"code_challenge": ""}, "invalid_request", 50147},
		"slash in the scope":         {scope(fhir + "/user/Observation.rs"), "invalid_scope", 70011},
		"slash behind the resource":  {scope(fhir + "/user.Patient.rs " + fhir + "/patient/x.rs"), "invalid_scope", 70011},
		"SMART scope as it is":       {scope("launch/patient"), "invalid_scope", 70011},
		"no name":                    {scope(fhir + "/"), "invalid_scope", 70011},
		"undefined scope":            {scope(fhir + "/user.Patient.rs " + fhir + "/system.x"), "invalid_client", 650053},
		"undefined scope of Graph":   {scope("fhirUser"), "invalid_client", 650053},
		"two resources":              {scope(fhir + "/user.x https://other.example/user.x"), "invalid_scope", 28000},
		"Graph and a resource":       {scope(fhir + "/user.x User.Read"), "invalid_scope", 28000},
		".default mixed":             {scope(fhir + "/.default " + fhir + "/user.x"), "invalid_scope", 70011},
		"unknown resource":           {scope("https://nowhere.example/user.x"), "invalid_resource", 500011},
		"unknown resource by GUID":   {scope(otherApp + "/user.x"), "invalid_resource", 500011},
		"silent, nobody signed in":   {map[string]string{"prompt": "none"}, "login_required", 50058},
		"silent with a hint":         {map[string]string{"prompt": "none", "login_hint": "auto:ada"}, "login_required", 50058},
		"page without a challenge":   {map[string]string{"client_id": pageApp, "redirect_uri": "https://app.example/", "code_challenge": "", "code_challenge_method": ""}, "invalid_request", 9002325},
	} {
		to := step.changes["redirect_uri"]
		if to == "" {
			to = callback
		}
		for mode, separator := range map[string]string{"query": "?", "fragment": "#", "form_post": "", "": "?"} {
			changes := map[string]string{"response_mode": mode}
			for name, value := range step.changes {
				changes[name] = value
			}
			w := c.visit(http.MethodGet, ask(changes), "")
			wrongMode := changes["response_mode"] == "web_message"
			if wrongMode {
				separator = "?"
			}
			at, form := received(w, separator)
			description := form.Get("error_description")
			if at != to || form.Get("error") != step.oauth || form.Get("state") != "s-1 &ü" || !strings.HasPrefix(description, fmt.Sprintf("AADSTS%d: ", step.number)) {
				t.Errorf("%s, %q: %d %s %s", name, mode, w.Code, w.Header().Get("Location"), w.Body)
			}
			if r, ok := entra.ParseRedirectRefusal(form.Get("error"), description); !ok || r.Number != step.number || r.TraceID == "" {
				t.Errorf("%s: read as %+v", name, r)
			}
		}
	}
	w := c.visit(http.MethodGet, ask(nil)+"&nonce=twice", "")
	if _, form := received(w, "?"); !strings.HasPrefix(form.Get("error_description"), "AADSTS9000411") {
		t.Errorf("%s", w.Header().Get("Location"))
	}
}

// received is what an application gets; separator is "" for a form.
func received(w *httptest.ResponseRecorder, separator string) (to string, form url.Values) {
	if separator == "" {
		return sent(w.Body.String())
	}
	to, encoded, _ := strings.Cut(w.Header().Get("Location"), separator)
	form, err := url.ParseQuery(encoded)
	if err != nil {
		form = nil
	}
	return to, form
}

// TestDefaultWithoutPermissions: .default stands for what an application may do already, which may be
// nothing.
func TestDefaultWithoutPermissions(t *testing.T) {
	c := newCoder(t)
	w := c.visit(http.MethodPost, ask(map[string]string{"scope": "openid " + fhir + "/.default"}), "user=ada")
	if _, form := received(w, "?"); form.Get("error") != "invalid_resource" || !strings.HasPrefix(form.Get("error_description"), "AADSTS650057") {
		t.Errorf("%s", w.Header().Get("Location"))
	}
}

func TestResponseModes(t *testing.T) {
	c := newCoder(t)
	c.authority.Set(entratest.Tenant{ID: browser.Clinic, Apps: []entratest.App{{ClientID: linkApp, Redirects: []entratest.RedirectURI{{URI: "https://app.example/back?a=b", Platform: entratest.Web}}}}})
	for mode, separator := range map[string]string{"": "&", "query": "&", "fragment": "#", "form_post": ""} {
		w := c.visit(http.MethodPost, ask(map[string]string{"redirect_uri": "https://app.example/back?a=b", "response_mode": mode}), "user=ada")
		if to, form := received(w, separator); to != "https://app.example/back?a=b" || form.Get("code") == "" || form.Get("state") != "s-1 &ü" {
			t.Errorf("%q: %s %s", mode, w.Header().Get("Location"), w.Body)
		}
	}
}

// TestCodeOfTheAPI: the API's application can ask for a code too, with its own redirect URIs and claims.
func TestCodeOfTheAPI(t *testing.T) {
	c := newCoder(t)
	as := map[string]string{"tenant": "organizations", "client_id": clientID, "redirect_uri": public + "/api/manage/signed-in"}
	code := c.code("ada", as)
	c.authority.Set(entratest.Tenant{ID: browser.Clinic, Apps: []entratest.App{{ClientID: clientID, Secrets: []entratest.Secret{{Value: password}}}}})
	credentials := c.credentials()
	credentials.ClientID = clientID
	tokens, err := c.signIns.Redeem(t.Context(), credentials, secret.New(code), secret.New(verifier), public+"/api/manage/signed-in")
	if err != nil {
		t.Fatal(err)
	}
	if claims := c.claims(tokens.ID); !reflect.DeepEqual(claims["roles"], []any{"Links.Administrator"}) || claims["login_hint"] != "O.ADA@CLINIC.SANDBOX.TEST" || claims["fhirUser"] != nil {
		t.Errorf("%v", claims)
	}
	as["scope"] = "fhirUser"
	w := c.visit(http.MethodPost, ask(as), "user=ada")
	if _, form := received(w, "?"); form.Get("error") != "invalid_client" {
		t.Errorf("%s", w.Header().Get("Location"))
	}
}

// TestWhoIsAsked: nobody who is signed in and has consented, unless the application wants it.
func TestWhoIsAsked(t *testing.T) {
	c := newCoder(t)
	got := func(changes map[string]string) string {
		t.Helper()
		w := c.visit(http.MethodGet, ask(changes), "")
		_, form := received(w, "?")
		switch {
		case w.Code == http.StatusOK:
			return "page"
		case form.Has("code"):
			return "code"
		}
		return form.Get("error_description")[:len("AADSTS65001")]
	}
	fresh := map[string]string{"scope": "openid " + fhir + "/user.New.rs", "prompt": "none"}
	if first := got(nil); first != "page" {
		t.Errorf("at first: %s", first)
	}
	c.code("ada", nil)
	for _, step := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"again", nil, "code"},
		{"silently", map[string]string{"prompt": "none"}, "code"},
		{"silently with a hint", map[string]string{"prompt": "none", "login_hint": "auto:ada"}, "code"},
		{"consent", map[string]string{"prompt": "consent"}, "page"},
		{"login", map[string]string{"prompt": "login"}, "page"},
		{"select_account", map[string]string{"prompt": "select_account"}, "page"},
		{"hint of another", map[string]string{"login_hint": "pat@clinic.sandbox.test"}, "page"},
		{"hint that begins like ours", map[string]string{"login_hint": "automobile@clinic.sandbox.test"}, "page"},
		{"new scope", map[string]string{"scope": "openid " + fhir + "/user.New.rs"}, "page"},
		{"new scope, silently", fresh, "AADSTS65001"},
		{"an administrator has consented", map[string]string{"client_id": otherApp, "scope": fhir + "/user.Patient.rs", "prompt": "none"}, "code"},
		{"auto accepts", map[string]string{"scope": "openid " + fhir + "/user.New.rs", "login_hint": "auto:ada"}, "code"},
		{"what was accepted, silently", fresh, "code"},
		{"auto signs in again", map[string]string{"prompt": "login", "login_hint": "auto"}, "code"},
		{"auto for somebody unknown", map[string]string{"login_hint": "auto:eve"}, "page"},
	} {
		if answer := got(step.changes); answer != step.want {
			t.Errorf("%s: %s", step.name, answer)
		}
	}
}

// TestAutomatic: the hint signs in without a page.
func TestAutomatic(t *testing.T) {
	for hint, want := range map[string]string{"auto": "Ada Lovelace", "auto:pat": "Pat Patient", "auto:nobody": "Nobody Inparticular", "auto:guest": "Grace Guest"} {
		c := newCoder(t)
		w := c.visit(http.MethodGet, ask(map[string]string{"login_hint": hint}), "")
		_, form := received(w, "?")
		tokens, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(form.Get("code")), secret.New(verifier), callback)
		if err != nil {
			t.Fatalf("%s: %v", hint, err)
		}
		if name := c.claims(tokens.ID)["name"]; name != want {
			t.Errorf("%s: %s", hint, name)
		}
		c.site.Set(browser.Declined)
		w = c.visit(http.MethodGet, ask(map[string]string{"login_hint": hint}), "")
		if _, form := received(w, "?"); form.Get("error") != "access_denied" || !strings.HasPrefix(form.Get("error_description"), "AADSTS65004") {
			t.Errorf("%s: %s", hint, w.Header().Get("Location"))
		}
	}
}

func TestFHIRUserClaims(t *testing.T) {
	const extension = "extension_0123456789abcdef0123456789abcdef_fhirUser"
	for claim, want := range map[string]any{"fhirUser": "Patient/p-1", "extn.fhirUser": []any{"Patient/p-1"}, extension: "Patient/p-1"} {
		c := newCoder(t)
		c.site.FHIRUserClaim = claim
		if got := c.claims(c.tokens("pat", nil).ID)[claim]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", claim, got)
		}
		if got, has := c.claims(c.tokens("nobody", nil).ID)[claim]; has {
			t.Errorf("%s of nobody: %v", claim, got)
		}
	}
	c := newCoder(t)
	if claims := c.claims(c.tokens("pat", map[string]string{"scope": "openid"}).ID); claims["name"] != nil || claims["email"] != nil || claims["preferred_username"] != nil {
		t.Errorf("without profile and email: %v", claims)
	}
	c.site.Users[0].AccessClaims = map[string]any{"roles": []string{"smartUser"}, "fhirUser": "Practitioner/1"}
	if claims := c.claims(c.tokens("ada", map[string]string{"scope": fhir + "/user.x"}).Access); claims["fhirUser"] != "Practitioner/1" || !reflect.DeepEqual(claims["roles"], []any{"smartUser"}) {
		t.Errorf("access token: %v", claims)
	}
}

// TestScenariosOfCodes: what is wrong with an ID token can be chosen for codes too.
func TestScenariosOfCodes(t *testing.T) {
	for scenario, reason := range map[browser.Scenario]string{
		"": "", browser.KeyRotated: "", browser.IDTokensOff: "", browser.InteractionRequired: "",
		browser.ClockBehind: "not valid before", browser.ClockAhead: "expired", browser.Forged: "does not publish", browser.WrongNonce: "nonce", browser.Stranger: "another tenant",
	} {
		c := newCoder(t)
		w := c.visit(http.MethodPost, ask(nil), url.Values{"user": {"ada"}, "answer": {string(scenario)}}.Encode())
		_, form := received(w, "?")
		tokens, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(form.Get("code")), secret.New(verifier), callback)
		if err != nil {
			t.Fatalf("%s: %v", scenario, err)
		}
		_, err = c.ids.Validate(t.Context(), c.credentials(), tokens.ID.Reveal(), "n-1")
		var refused *caller.Refused
		if reason == "" && err != nil || reason != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Reason, reason)) {
			t.Errorf("%s: %v", scenario, err)
		}
		if again, err := c.signIns.Refresh(t.Context(), c.credentials(), tokens.Refresh, "openid offline_access"); err != nil || c.claims(again.ID)["tid"] != browser.Clinic {
			t.Errorf("%s: refreshed %v", scenario, err)
		}
	}
	c := newCoder(t)
	w := c.visit(http.MethodPost, ask(nil), "user=ada&answer=wrong-state")
	if _, form := received(w, "?"); form.Get("state") != "WRONGSTATEWRONGSTATEWRONGS" || !form.Has("code") {
		t.Errorf("%s", w.Header().Get("Location"))
	}
}

// redemption is a request to the token endpoint as it stands on the wire.
type redemption struct {
	tenant, origin string
	form           url.Values
}

// answer is what the token endpoint says to a redemption.
type answer struct {
	status   int
	Error    string
	Codes    []int `json:"error_codes"`
	SubError string
	Refresh  string `json:"refresh_token"`
}

func (c *coder) send(r redemption) (a answer) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.authority.URL+r.tenant+"/oauth2/v2.0/token", strings.NewReader(r.form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.origin != "" {
		request.Header.Set("Origin", r.origin)
	}
	response, err := c.authority.Client().Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		c.t.Fatal(err)
	}
	if r.origin != "" && response.Header.Get("Access-Control-Allow-Origin") != "*" {
		c.t.Errorf("a page may not read the answer: %v", response.Header)
	}
	a.status = response.StatusCode
	return a
}

// refused asserts how a redemption is refused; 0: it is not.
func (a answer) refused(t *testing.T, what string, status int, oauth string, number int) {
	t.Helper()
	if number == 0 && a.Codes == nil {
		a.Codes = []int{0}
	}
	if a.status != status || a.Error != oauth || !reflect.DeepEqual(a.Codes, []int{number}) {
		t.Errorf("%s: %+v, want %d %s %d", what, a, status, oauth, number)
	}
}

// TestRedemption: each platform has to redeem its codes in its own way.
func TestRedemption(t *testing.T) {
	c := newCoder(t)
	of := func(client, redirect string) map[string]string {
		return map[string]string{"client_id": client, "redirect_uri": redirect}
	}
	form := func(client, redirect string) url.Values {
		f := url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {c.code("ada", of(client, redirect))}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
		if client == linkApp || client == otherApp {
			f.Set("client_secret", password)
		}
		return f
	}
	const page, device, origin = "https://app.example/", "app.example://back", "https://app.example"
	for _, step := range []struct {
		name, client, redirect string
		change                 func(*redemption)
		status                 int
		oauth                  string
		number                 int
	}{
		{"web", linkApp, callback, func(*redemption) {}, 200, "", 0},
		{"no secret", linkApp, callback, func(r *redemption) { r.form.Del("client_secret") }, 401, "invalid_client", 7000218},
		{"wrong secret", linkApp, callback, func(r *redemption) { r.form.Set("client_secret", "x") }, 401, "invalid_client", 7000215},
		{"expired secret", linkApp, callback, func(r *redemption) { r.form.Set("client_secret", "expired") }, 401, "invalid_client", 7000222},
		{"web from a page", linkApp, callback, func(r *redemption) { r.origin = origin }, 400, "invalid_request", 9002326},
		{"web from a page without a secret", linkApp, callback, func(r *redemption) { r.origin = origin; r.form.Del("client_secret") }, 400, "invalid_request", 9002326},
		{"no redirect URI", linkApp, callback, func(r *redemption) { r.form.Del("redirect_uri") }, 400, "invalid_request", 900144},
		{"no code", linkApp, callback, func(r *redemption) { r.form.Del("code") }, 400, "invalid_request", 900144},
		{"another redirect URI", linkApp, callback, func(r *redemption) { r.form.Set("redirect_uri", callback+"/") }, 400, "invalid_grant", 500112},
		{"another verifier", linkApp, callback, func(r *redemption) { r.form.Set("code_verifier", verifier+"x") }, 400, "invalid_grant", 501481},
		{"the challenge as verifier", linkApp, callback, func(r *redemption) { r.form.Set("code_verifier", challenge(verifier)) }, 400, "invalid_grant", 501481},
		{"no verifier", linkApp, callback, func(r *redemption) { r.form.Del("code_verifier") }, 400, "invalid_grant", 501481},
		{"not a code", linkApp, callback, func(r *redemption) { r.form.Set("code", "1.x") }, 400, "invalid_grant", 9002313},
		{"a changed code", linkApp, callback, func(r *redemption) { r.form.Set("code", r.form.Get("code")+"AAAA") }, 400, "invalid_grant", 9002313},
		{"not a code, nor a secret", linkApp, callback, func(r *redemption) { r.form.Set("code", "x"); r.form.Del("client_secret") }, 401, "invalid_client", 7000218},
		{"a code as refresh token", linkApp, callback, func(r *redemption) {
			r.form.Set("grant_type", "refresh_token")
			r.form.Set("refresh_token", r.form.Get("code"))
		}, 400, "invalid_grant", 9002313},
		{"another application", linkApp, callback, func(r *redemption) { r.form.Set("client_id", otherApp) }, 400, "invalid_grant", 70000},
		{"unknown application", linkApp, callback, func(r *redemption) { r.form.Set("client_id", browser.Clinic) }, 400, "unauthorized_client", 700016},
		{"another tenant", linkApp, callback, func(r *redemption) { r.tenant = browser.Partner }, 400, "invalid_grant", 700005},
		{"two resources", linkApp, callback, func(r *redemption) { r.form.Set("scope", "https://a.example/user.x https://b.example/user.x") }, 400, "invalid_scope", 28000},
		{"a resource without consent", linkApp, callback, func(r *redemption) { r.form.Set("scope", "https://a.example/user.x") }, 400, "invalid_grant", 65001},
		{"page", pageApp, page, func(r *redemption) { r.origin = origin }, 200, "", 0},
		{"page without Origin", pageApp, page, func(*redemption) {}, 400, "invalid_request", 9002327},
		{"page with a secret", pageApp, page, func(r *redemption) { r.origin = origin; r.form.Set("client_secret", "x") }, 401, "invalid_client", 700025},
		{"device", deviceApp, device, func(*redemption) {}, 200, "", 0},
		{"device with a secret", deviceApp, device, func(r *redemption) { r.form.Set("client_secret", "x") }, 401, "invalid_client", 700025},
		{"device from a page", deviceApp, device, func(r *redemption) { r.origin = origin }, 400, "invalid_request", 9002326},
	} {
		r := redemption{browser.Clinic, "", form(step.client, step.redirect)}
		step.change(&r)
		c.send(r).refused(t, step.name, step.status, step.oauth, step.number)
	}
}

// TestCodesEnd: a code is good once and for ten minutes. A redemption that fails does not spend it.
func TestCodesEnd(t *testing.T) {
	c := newCoder(t)
	redeem := func(code, verifier string) int {
		t.Helper()
		_, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(code), secret.New(verifier), callback)
		var r *entra.Refusal
		if err != nil && (!errors.As(err, &r) || r.OAuthError != "invalid_grant") {
			t.Fatal(err)
		}
		if err == nil {
			return 0
		}
		return r.Number
	}
	code := c.code("ada", nil)
	for _, step := range []struct {
		verifier string
		after    time.Duration
		want     int
	}{{verifier + "x", 0, 501481}, {verifier, 10 * time.Minute, 0}, {verifier, 0, 54005}, {verifier, time.Second, 70008}, {verifier, time.Hour, 70008}} {
		c.now = c.now.Add(step.after)
		if got := redeem(code, step.verifier); got != step.want {
			t.Errorf("AADSTS%d, want %d", got, step.want)
		}
	}
	plain := c.code("ada", map[string]string{"code_challenge": verifier, "code_challenge_method": ""})
	if got := redeem(plain, verifier); got != 0 {
		t.Errorf("plain challenge: AADSTS%d", got)
	}
	without := c.code("ada", map[string]string{"code_challenge": "", "code_challenge_method": ""})
	if got := redeem(without, verifier); got != 501481 {
		t.Errorf("verifier without a challenge: AADSTS%d", got)
	}
	if got := redeem(without, ""); got != 0 {
		t.Errorf("without PKCE: AADSTS%d", got)
	}
	var good sync.Map
	var all sync.WaitGroup
	code = c.code("ada", nil)
	for i := range 8 {
		all.Go(func() {
			if _, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(code), secret.New(verifier), callback); err == nil {
				good.Store(i, true)
			}
		})
	}
	all.Wait()
	n := 0
	good.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("a code was redeemed %d times", n)
	}
}

func TestRefreshTokensEnd(t *testing.T) {
	for _, p := range []struct {
		client, redirect, origin string
		life                     time.Duration
		number                   int
	}{
		{linkApp, callback, "", 90 * 24 * time.Hour, 700082},
		{pageApp, "https://app.example/", "https://app.example", 24 * time.Hour, 700084},
	} {
		c := newCoder(t)
		token := c.authority.Code(entratest.SignIn{
			Tenant: browser.Clinic, ClientID: p.client, RedirectURI: p.redirect, Platform: map[bool]entratest.Platform{true: entratest.SPA, false: entratest.Web}[p.origin != ""],
			Scopes: entratest.Scopes{OIDC: []string{"openid", "offline_access"}, Resource: entratest.Graph}, User: entratest.Account{ObjectID: patID},
		})
		form := url.Values{"client_id": {p.client}, "grant_type": {"authorization_code"}, "code": {token}, "redirect_uri": {p.redirect}}
		if p.origin == "" {
			form.Set("client_secret", password)
		}
		first := c.send(redemption{browser.Clinic, p.origin, form})
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", first.Refresh)
		c.now = c.now.Add(p.life)
		newer := c.send(redemption{browser.Clinic, p.origin, form})
		newer.refused(t, p.client, 200, "", 0)
		c.now = c.now.Add(time.Second)
		c.send(redemption{browser.Clinic, p.origin, form}).refused(t, p.client, 400, "invalid_grant", p.number)
		form.Set("refresh_token", newer.Refresh) // a page's has no longer life than the first
		if got := c.send(redemption{browser.Clinic, p.origin, form}).status; (got == 200) != (p.origin == "") {
			t.Errorf("%s: the newer token: %d", p.client, got)
		}
	}
}

// TestWhatHappensToUsers: an account is disabled, gets another password, and takes its consent back.
func TestWhatHappensToUsers(t *testing.T) {
	c := newCoder(t)
	ada, pat := c.tokens("ada", nil), c.tokens("pat", nil)
	refresh := func(of entra.UserTokens) int {
		t.Helper()
		_, err := c.signIns.Refresh(t.Context(), c.credentials(), of.Refresh, "openid offline_access")
		var r *entra.Refusal
		if err != nil && (!errors.As(err, &r) || r.OAuthError != "invalid_grant" || r.Class() != entra.Config) {
			t.Fatal(err)
		}
		if err == nil {
			return 0
		}
		return r.Number
	}
	expect := func(what string, ofAda, ofPat int) {
		t.Helper()
		if a, p := refresh(ada), refresh(pat); a != ofAda || p != ofPat {
			t.Errorf("%s: AADSTS%d and AADSTS%d", what, a, p)
		}
	}
	expect("at first", 0, 0)
	c.authority.Disable(adaID, true)
	expect("disabled", 50057, 0)
	if w := c.visit(http.MethodPost, ask(nil), "user=ada"); w.Code != 400 || !strings.Contains(w.Body.String(), "AADSTS50057") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	c.authority.Disable(adaID, false)
	expect("enabled", 0, 0)
	code := c.code("pat", nil)
	c.authority.ChangePassword(patID)
	expect("another password", 0, 50173)
	if _, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(code), secret.New(verifier), callback); err == nil || !strings.Contains(err.Error(), "AADSTS50173") {
		t.Errorf("a code from before: %v", err)
	}
	pat = c.tokens("pat", nil)
	expect("signed in with the new password", 0, 0)
	c.authority.WithdrawConsent(browser.Clinic, linkApp, adaID)
	expect("consent withdrawn", 65001, 0)
	form := url.Values{"client_id": {linkApp}, "client_secret": {password}, "grant_type": {"refresh_token"}, "refresh_token": {ada.Refresh.Reveal()}}
	if got := c.send(redemption{browser.Clinic, "", form}); got.SubError != "consent_required" {
		t.Errorf("%+v", got)
	}
	c.tokens("ada", nil)
	expect("consented again", 0, 0)
	c.authority.Before = c.authority.Throttle(7)
	_, err := c.signIns.Refresh(t.Context(), c.credentials(), ada.Refresh, "openid offline_access")
	var r *entra.Refusal
	if !errors.As(err, &r) || r.Class() != entra.Transient || r.RetryAfter != 7*time.Second {
		t.Errorf("throttled: %v", err)
	}
}

// TestSettingsWhileRunning: what happens to users may happen at any time.
func TestSettingsWhileRunning(t *testing.T) {
	c := newCoder(t)
	ada := c.tokens("ada", nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				_, _ = c.signIns.Refresh(t.Context(), c.credentials(), ada.Refresh, "openid offline_access") // whether it works depends on the moment
			}
		})
	}
	for i := range 20 {
		c.authority.Disable(adaID, i%2 == 0)
		c.authority.ChangePassword(patID)
		c.authority.WithdrawConsent(browser.Clinic, linkApp, patID)
	}
	all.Wait()
}

// TestFormsOfAnswers: expires_in may be a string, and scope may lack or hold more than usual.
func TestFormsOfAnswers(t *testing.T) {
	c := newCoder(t)
	c.authority.TextExpiresIn = true
	c.authority.Scope = func(scope string) string { return scope + " openid offline_access" }
	tokens := c.tokens("ada", map[string]string{"scope": "openid offline_access " + fhir + "/user.x"})
	if left := time.Until(tokens.ExpiresOn); left < time.Hour-time.Minute || tokens.Scope != fhir+"/user.x openid offline_access" {
		t.Errorf("%v, %q", left, tokens.Scope)
	}
	c.authority.Scope = func(string) string { return "" }
	if tokens := c.tokens("ada", nil); tokens.Scope != "" {
		t.Errorf("%q", tokens.Scope)
	}
}
