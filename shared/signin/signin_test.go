package signin_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/secret"
	"fhirlink/shared/signin"
)

func TestSignIn(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.session(); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("before: %v", err)
	}
	a := r.signIn("to="+url.QueryEscape("/api/manage/servers/good-health-clinic?lang=de"), "ada", "")
	if a.Kind != signin.Done || a.To != "/api/manage/servers/good-health-clinic?lang=de" {
		t.Fatalf("%+v", a)
	}
	got, err := r.session()
	want := signin.Session{
		Tenant: clinic, ObjectID: ada, Name: "Ada Lovelace", Username: "ada@clinic.sandbox.test", LoginHint: "O.ADA@CLINIC.SANDBOX.TEST",
		Roles: []string{"Links.Administrator"}, Ends: r.now.Add(time.Hour),
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(a.Session) != fmt.Sprint(want) {
		t.Errorf("\ngot  %+v (%v)\nwant %+v", got, err, want)
	}
	c := r.Caller(got)
	if !caller.Manage.HeldBy(c) || caller.Token.HeldBy(c) || c.Kind() != caller.User || c.Organization != clinic || c.ObjectID != ada || c.AppID != clientID || c.Operator {
		t.Errorf("the caller %+v", c)
	}
	if len(r.cookies) != 1 {
		t.Errorf("cookies %v", r.cookies)
	}
	for _, secret := range []string{"Ada", "ada@", "O.ADA"} {
		if strings.Contains(r.log.String(), secret) || strings.Contains(r.cookies["__Host-session"].Value, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	r.now = r.now.Add(time.Hour)
	if _, err := r.session(); !errors.Is(err, signin.ErrSessionEnded) {
		t.Errorf("after an hour: %v", err)
	}
}

// TestCookies: the attributes of each cookie, to the letter.
func TestCookies(t *testing.T) {
	r := newRig(t, nil)
	text := func(cookies []*http.Cookie) (all []string) {
		for _, c := range cookies {
			_, attributes, _ := strings.Cut(c.String(), ";")
			name := c.Name
			if strings.HasPrefix(name, "__Host-signin-") {
				if len(name) != len("__Host-signin-")+8 {
					t.Errorf("the name %s", name)
				}
				name = "__Host-signin-"
			}
			all = append(all, name+attributes)
		}
		return all
	}
	begun, err := r.Start(r.request(http.MethodGet, signin.SignIn, "", false))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(begun.Cookies), []string{"__Host-signin- Path=/; HttpOnly; Secure; SameSite=None"}; !slices.Equal(got, want) {
		t.Errorf("begun: %q", got)
	}
	r.take(begun.Cookies)
	_, page := r.visit(begun.URL, "user=ada")
	if got, want := text(r.answer(r.posted(page)).Cookies), []string{"__Host-session Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-signin- Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"}; !slices.Equal(got, want) {
		t.Errorf("answered: %q", got)
	}
	r.now = r.now.Add(50 * time.Minute)
	r.start("") // a sign-in of another tab
	session, err := r.session()
	if err != nil {
		t.Fatal(err)
	}
	again, ok := r.Renew(r.request(http.MethodGet, signin.Base, "", false), session)
	if got, want := text(again.Cookies), []string{"__Host-signin- Path=/; HttpOnly; Secure; SameSite=None", "__Host-renewed Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax"}; !ok || !slices.Equal(got, want) {
		t.Errorf("renewing: %q", got)
	}
	got := text(r.SignOut(r.request(http.MethodPost, signin.SignOut, "", false)))
	want := []string{
		"__Host-session Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax", "__Host-renewed Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		"__Host-signin- Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None", "__Host-signed-out Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
	}
	if !slices.Equal(got, want) {
		t.Errorf("signed out: %q", got)
	}
}

func TestAuthorizeURL(t *testing.T) {
	for _, c := range []struct {
		name, query, tenant, prompt string
		change                      func(*signin.Config)
	}{
		{"several tenants", "", "organizations", "", nil},
		{"every tenant", "", "organizations", "", func(c *signin.Config) { c.Tenants = []string{"*"} }},
		{"one tenant", "", clinic, "", func(c *signin.Config) { c.Tenants = []string{clinic} }},
		{"the operator is that tenant", "", clinic, "", func(c *signin.Config) { c.Tenants, c.Operator = []string{clinic}, clinic }},
		{"one tenant and the operator", "", "organizations", "", func(c *signin.Config) { c.Tenants, c.Operator = []string{clinic}, partner }},
		{"only the operator", "", partner, "", func(c *signin.Config) { c.Tenants, c.Operator = nil, partner }},
		{"an organization", "organization=" + strings.ToUpper(partner), partner, "", nil},
		{"any organization", "organization=" + partner, partner, "", func(c *signin.Config) { c.Tenants = []string{"*"} }},
		{"the operator by name", "organization=" + partner, partner, "", func(c *signin.Config) { c.Tenants, c.Operator = []string{clinic}, partner }},
		{"a domain", "organization=Contoso.COM", "contoso.com", "", nil},
		{"another account", "prompt=select_account", "organizations", "select_account", nil},
		{"a prompt that is not ours to ask for", "prompt=none", "organizations", "", nil},
	} {
		r := newRig(t, c.change)
		got, err := url.Parse(r.start(c.query + "&to=https%3A%2F%2Fevil.example"))
		if err != nil {
			t.Fatal(err)
		}
		query := got.Query()
		state, nonce := query.Get("state"), query.Get("nonce")
		want := url.Values{
			"client_id": {clientID}, "response_type": {"id_token"}, "response_mode": {"form_post"}, "scope": {"openid profile"},
			"redirect_uri": {public + "/api/manage/signed-in"}, "state": {state}, "nonce": {nonce},
		}
		if c.prompt != "" {
			want.Set("prompt", c.prompt)
		}
		if got.Scheme+"://"+got.Host+got.Path != entraURL+"/"+c.tenant+"/oauth2/v2.0/authorize" || query.Encode() != want.Encode() || len(state) < 22 || len(nonce) < 22 || state == nonce {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	r := newRig(t, nil)
	for _, organization := range []string{
		"contoso", "common", "consumers", "organizations", "..", ".com", "a..b", "a.b.", "-a.com", "a-.com", "a/b.com", "a.com/x", "a.com?x", "a.com#", "ä.com",
		"a b.com", "a.com\r\nx", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 130) + "com", "%2e%2e.com", "a@b.com", "https://a.com", "{" + clinic + "}",
	} {
		begun, err := r.Start(r.request(http.MethodGet, signin.SignIn+"?organization="+url.QueryEscape(organization), "", false))
		if !errors.Is(err, signin.ErrOrganization) {
			t.Errorf("%q: %+v, %v", organization, begun, err)
		}
	}
	for _, tenant := range []string{"66666666-6666-4666-8666-666666666666"} {
		_, err := r.Start(r.request(http.MethodGet, signin.SignIn+"?organization="+tenant, "", false))
		var not *entra.TenantNotAllowed
		if !errors.As(err, &not) || not.Tenant != tenant {
			t.Errorf("%s: %v", tenant, err)
		}
	}
	r.store.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	if _, err := r.Start(r.request(http.MethodGet, signin.SignIn, "", false)); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}

// TestAnswers: every scenario of the sandbox has its kind and code.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		scenario browser.Scenario
		kind     signin.Kind
		code     signin.Code
		number   int
	}{
		{"", signin.Done, "", 0},
		{browser.Declined, signin.Refused, signin.Declined, 65004},
		{browser.ConsentMissing, signin.Refused, signin.ConsentMissing, 65001},
		{browser.AdminConsent, signin.Refused, signin.ConsentMissing, 90094},
		{browser.IDTokensOff, signin.Refused, signin.IDTokensOff, 700054},
		{browser.NotAssigned, signin.Refused, signin.NotAssigned, 50105},
		{browser.Blocked, signin.Refused, signin.Policy, 53003},
		{browser.Busy, signin.Refused, signin.Busy, 90033},
		{browser.Strange, signin.Refused, signin.Other, 999999},
		{browser.InteractionRequired, signin.Done, "", 0}, // with prompt=none only
		{browser.LoginRequired, signin.Done, "", 0},
		{browser.ClockBehind, signin.ClockOff, "", 0},
		{browser.ClockAhead, signin.ClockOff, "", 0},
		{browser.KeyRotated, signin.Done, "", 0},
		{browser.Forged, signin.TokenRefused, "", 0},
		{browser.WrongNonce, signin.TokenRefused, "", 0},
		{browser.WrongState, signin.UnknownState, "", 0},
		{browser.Stranger, signin.TenantNotAllowed, "", 0},
	} {
		r := newRig(t, nil)
		a := r.signIn("to=/api/manage/add", "ada", c.scenario)
		to := "/api/manage/add"
		if c.kind == signin.UnknownState {
			to = signin.Base
		}
		if a.Kind != c.kind || a.Code != c.code || a.Number != c.number || a.To != to {
			t.Errorf("%s: %+v", c.scenario, a)
		}
		if _, err := r.session(); (err == nil) != (c.kind == signin.Done) {
			t.Errorf("%s: session %v", c.scenario, err)
		}
		if a.Kind == signin.TenantNotAllowed && a.Tenant != "66666666-6666-4666-8666-666666666666" {
			t.Errorf("tenant %s", a.Tenant)
		}
		if left := len(r.cookies); (a.Kind == signin.Done || a.Kind == signin.UnknownState) != (left == 1) {
			t.Errorf("%s leaves %d cookies", c.scenario, left)
		}
	}
	if n := len(browser.Scenarios()); n != 17 {
		t.Errorf("%d scenarios: this table has 17", n)
	}
}

func TestErrorsWithoutNumbers(t *testing.T) {
	for oauth, want := range map[string]signin.Code{
		"access_denied": signin.Declined, "consent_required": signin.ConsentMissing, "temporarily_unavailable": signin.Busy, "server_error": signin.Busy,
		"invalid_request": signin.Other, "unauthorized_client": signin.ApplicationUnknown,
	} {
		r := newRig(t, nil)
		state := stateOf(t, r.start(""))
		if a := r.answer(url.Values{"error": {oauth}, "state": {state}}); a.Kind != signin.Refused || a.Code != want {
			t.Errorf("%s: %+v", oauth, a)
		}
	}
}

func stateOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}

func TestAnswersThatAreNone(t *testing.T) {
	r := newRig(t, nil)
	state := stateOf(t, r.start(""))
	for name, request := range map[string]*http.Request{
		"GET":                      r.request(http.MethodGet, signin.SignedIn+"?id_token=x&state="+state, "", true),
		"in the query":             r.request(http.MethodPost, signin.SignedIn+"?id_token=x&state="+state, "", true),
		"empty":                    r.request(http.MethodPost, signin.SignedIn, "", true),
		"not a form":               r.request(http.MethodPost, signin.SignedIn, "%zz", true),
		"state twice":              r.request(http.MethodPost, signin.SignedIn, "id_token=x&state="+state+"&state="+state, true),
		"an error that is no code": r.request(http.MethodPost, signin.SignedIn, "error=%3Cscript%3E&state="+state, true),
		"an empty error":           r.request(http.MethodPost, signin.SignedIn, "error=&state="+state, true),
	} {
		if a, err := r.Answer(request); err != nil || a.Kind != signin.Malformed || a.To != signin.Base {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for name, form := range map[string]url.Values{
		"no state": {"id_token": {"x"}}, "short": {"state": {"A"}}, "unknown": {"state": {strings.Repeat("A", 26)}}, "no token": {"state": {stateOf(t, r.start(""))}},
	} {
		want := signin.UnknownState
		if name == "no token" {
			want = signin.TokenRefused
		}
		if a := r.answer(form); a.Kind != want {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Another state whose first characters are those of a cookie's is another sign-in.
func TestStateIsComparedAsAWhole(t *testing.T) {
	r := newRig(t, nil)
	_, page := r.visit(r.start(""), "user=ada")
	form := r.posted(page)
	state := form.Get("state")
	form.Set("state", state[:8]+strings.Repeat("A", len(state)-8))
	if a := r.answer(form); a.Kind != signin.UnknownState {
		t.Errorf("%+v", a)
	}
	form.Set("state", state)
	if a := r.answer(form); a.Kind != signin.Done {
		t.Errorf("%+v", a)
	}
}

func TestReplay(t *testing.T) {
	r := newRig(t, nil)
	_, page := r.visit(r.start(""), "user=ada")
	form := r.posted(page)
	if a := r.answer(form); a.Kind != signin.Done {
		t.Fatalf("%+v", a)
	}
	if a := r.answer(form); a.Kind != signin.NoCookie {
		t.Errorf("again: %+v", a)
	}
	r.start("") // another tab
	if a := r.answer(form); a.Kind != signin.UnknownState {
		t.Errorf("again, with another sign-in begun: %+v", a)
	}
}

func TestCookiesRefused(t *testing.T) {
	r := newRig(t, nil)
	r.refusesCookies = true
	if a := r.signIn("", "ada", ""); a.Kind != signin.NoCookie {
		t.Errorf("%+v", a)
	}
}

// TestTabs: sign-ins that go on at the same time do not disturb each other, and at most three do.
func TestTabs(t *testing.T) {
	r := newRig(t, nil)
	var begun []string
	for i := range 5 {
		begun = append(begun, r.start(fmt.Sprintf("to=/api/manage/servers/s-%d", i)))
		r.now = r.now.Add(time.Second)
	}
	if len(r.cookies) != 3 {
		t.Errorf("%d cookies", len(r.cookies))
	}
	for _, i := range []int{3, 2, 4, 1, 0} {
		_, page := r.visit(begun[i], "user=ada")
		a := r.answer(r.posted(page))
		switch {
		case i >= 2 && (a.Kind != signin.Done || a.To != fmt.Sprintf("/api/manage/servers/s-%d", i)):
			t.Errorf("sign-in %d: %+v", i, a)
		case i < 2 && a.Kind != signin.NoCookie:
			t.Errorf("sign-in %d, whose cookie went first: %+v", i, a)
		}
	}
}

func TestTooLate(t *testing.T) {
	r := newRig(t, nil)
	address := r.start("to=/api/manage/add")
	r.now = r.now.Add(30*time.Minute - time.Second)
	_, page := r.visit(address, "user=ada")
	form := r.posted(page)
	r.now = r.now.Add(time.Second)
	if a := r.answer(form); a.Kind != signin.TooLate || a.To != "/api/manage/add" || len(r.cookies) != 0 {
		t.Errorf("%+v, %v", a, r.cookies)
	}
	r.start("")
	r.now = r.now.Add(time.Hour)
	r.start("") // clears the cookie of the sign-in that nobody has ended
	if len(r.cookies) != 1 {
		t.Errorf("%d cookies", len(r.cookies))
	}
}

// What cannot be decided now can be sent again: the cookie stays.
func TestUnavailable(t *testing.T) {
	r := newRig(t, nil)
	_, page := r.visit(r.start(""), "user=ada")
	form := r.posted(page)
	r.entra.Authority.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	_, err := r.Answer(r.request(http.MethodPost, signin.SignedIn, form.Encode(), true))
	var u *entra.Unreachable
	if !errors.As(err, &u) {
		t.Errorf("%v", err)
	}
	r.entra.Authority.Before = nil
	r.now = r.now.Add(10 * time.Second)
	if a := r.answer(form); a.Kind != signin.Done {
		t.Errorf("%+v", a)
	}
}

func TestGuest(t *testing.T) {
	r := newRig(t, nil)
	a := r.signIn("", "guest", "")
	if a.Kind != signin.Done || a.Session.Tenant != partner || caller.Manage.HeldBy(r.Caller(a.Session)) {
		t.Errorf("at home: %+v", a)
	}
	for _, organization := range []string{clinic, browser.ClinicDomain} {
		a = r.signIn("organization="+organization, "guest", "")
		if a.Kind != signin.Done || a.Session.Tenant != clinic || !caller.Manage.HeldBy(r.Caller(a.Session)) {
			t.Errorf("as a guest of %s: %+v", organization, a)
		}
	}
	a = r.signIn("", "nobody", "")
	if a.Kind != signin.Done || caller.Manage.HeldBy(r.Caller(a.Session)) {
		t.Errorf("without a role: %+v", a)
	}
	if lacks := caller.Manage.Lacks(r.Caller(a.Session)); len(lacks) != 1 || lacks[0].Code != "role_missing" {
		t.Errorf("lacks %+v", lacks)
	}
	status, page := r.visit(r.start("organization="+partner), "user=ada")
	if status != http.StatusBadRequest || !strings.Contains(page, "AADSTS50020") {
		t.Errorf("not a guest: %d %s", status, page)
	}
}

func TestSessionOfAnotherDeployment(t *testing.T) {
	r := newRig(t, nil)
	r.signIn("", "ada", "")
	staging := newRig(t, func(c *signin.Config) {
		c.PublicURL = "https://staging.contoso.com"
		c.Sealer.PublicURL, c.Sealer.Keys = c.PublicURL, r.Sealer.Keys // the slots share a vault
	})
	staging.cookies = r.cookies
	if _, err := staging.session(); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("%v", err)
	}
	less := newRig(t, func(c *signin.Config) { c.Tenants, c.Sealer = []string{partner}, r.Sealer })
	less.cookies = r.cookies
	if _, err := less.session(); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("a tenant that is not allowed any more: %v", err)
	}
	r.cookies["__Host-session"].Value += "A"
	if _, err := r.session(); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("a session that was changed: %v", err)
	}
}

func TestOtherPersonInTheOtherTab(t *testing.T) {
	r := newRig(t, nil)
	ofAda, err := r.For(t.Context(), r.Caller(r.signIn("", "ada", "").Session))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := r.session()
	if err := r.CheckFor(t.Context(), r.Caller(first), ofAda); err != nil {
		t.Error(err)
	}
	second := r.signIn("organization="+clinic, "guest", "").Session
	if err := r.CheckFor(t.Context(), r.Caller(second), ofAda); !errors.Is(err, signin.ErrOtherPerson) {
		t.Errorf("the guest sends Ada's form: %v", err)
	}
	elsewhere := first
	elsewhere.Tenant = partner
	if err := r.CheckFor(t.Context(), r.Caller(elsewhere), ofAda); !errors.Is(err, signin.ErrOtherPerson) {
		t.Errorf("the same object id of another tenant: %v", err)
	}
	for _, value := range []string{"", "junk", ofAda + "A", r.cookies["__Host-session"].Value} {
		if err := r.CheckFor(t.Context(), r.Caller(first), value); !errors.Is(err, signin.ErrStaleForm) {
			t.Errorf("%.20q: %v", value, err)
		}
	}
	r.now = r.now.Add(24 * time.Hour)
	if err := r.CheckFor(t.Context(), r.Caller(first), ofAda); !errors.Is(err, signin.ErrStaleForm) {
		t.Errorf("after a day: %v", err)
	}
}

func TestSignOut(t *testing.T) {
	r := newRig(t, nil)
	r.signIn("", "ada", "")
	r.start("")
	r.take(r.SignOut(r.request(http.MethodPost, signin.SignOut, "", false)))
	if _, err := r.session(); !errors.Is(err, signin.ErrNoSession) || len(r.cookies) != 1 {
		t.Errorf("%v, cookies %v", err, r.cookies)
	}
	out := func() string { return r.LogoutURL(r.request(http.MethodGet, signin.SignedOut, "", false)) }
	back := "post_logout_redirect_uri=" + url.QueryEscape(public+signin.SignedOut)
	if got, want := out(), entraURL+"/"+clinic+"/oauth2/v2.0/logout?logout_hint="+url.QueryEscape("O.ADA@CLINIC.SANDBOX.TEST")+"&"+back; got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if status, _ := r.visit(out(), ""); status != http.StatusFound || len(r.person.AtEntra) != 0 {
		t.Errorf("at Entra: %d, %v", status, r.person.AtEntra)
	}
	r.now = r.now.Add(10 * time.Minute)
	if got, want := out(), entraURL+"/organizations/oauth2/v2.0/logout?"+back; got != want {
		t.Errorf("later: %s", got)
	}
	if cookies := r.SignOut(r.request(http.MethodPost, signin.SignOut, "", false)); len(cookies) != 2 {
		t.Errorf("nobody signs out: %v", cookies)
	}
}

func TestURLs(t *testing.T) {
	r := newRig(t, nil)
	for got, want := range map[string]string{
		r.SignInURL("", "", ""): public + "/api/manage/sign-in",
		r.SignInURL("/api/manage/?q=a b&sort=slug", clinic, "select_account"): public + "/api/manage/sign-in?organization=" + clinic + "&prompt=select_account&to=%2Fapi%2Fmanage%2F%3Fq%3Da%20b%26sort%3Dslug",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	got, err := r.ConsentURL("clinic.sandbox.test")
	if want := entraURL + "/clinic.sandbox.test/adminconsent?client_id=" + clientID + "&redirect_uri=" + url.QueryEscape(public+"/api/manage/consented"); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if status, page := r.visit(got, ""); status != http.StatusOK || !strings.Contains(page, "Permissions requested") {
		t.Errorf("at Entra: %d %s", status, page)
	}
	if status, _ := r.visit(got, "accept=1"); status != http.StatusFound {
		t.Errorf("approved: %d", status)
	}
	if _, err := r.ConsentURL("consumers"); !errors.Is(err, signin.ErrOrganization) {
		t.Errorf("%v", err)
	}
}

// TestWithoutSealingKeys: whoever has a session waits; nobody is signed out because a vault is down.
func TestWithoutSealingKeys(t *testing.T) {
	r := newRig(t, nil)
	session := r.signIn("", "ada", "").Session
	down := newRig(t, nil)
	down.cookies = r.cookies
	down.store.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	_, err := down.session()
	_, formErr := down.For(t.Context(), down.Caller(session))
	for _, err := range []error{err, formErr} {
		if !errors.Is(err, secret.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
}
