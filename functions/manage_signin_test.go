package functions_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/functions"
	"fhirlink/functions/manage"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/httpx"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signin"
)

const (
	public    = "https://links.example.org"
	entraSite = "http://127.0.0.1:7072"
	apiClient = "99999999-9999-4999-8999-999999999999"
)

// signInRig is a deployment where people sign in, with the sandbox Entra.
type signInRig struct {
	*rig
	site *browser.Site
	keys *secrettest.Store // of the seals
	// clock holds Unix seconds. It is atomic because refreshes of keys and notices read it beside the
	// test that turns it.
	clock atomic.Int64
}

func (s *signInRig) now() time.Time { return time.Unix(s.clock.Load(), 0).UTC() }

// later turns the clock by d.
func (s *signInRig) later(d time.Duration) { s.clock.Add(int64(d / time.Second)) }

func newSignInRig(t testing.TB) *signInRig {
	s := &signInRig{keys: secrettest.New()}
	s.clock.Store(time.Now().Unix())
	now := s.now
	s.rig = newRig(t, func(d *functions.Deps) {
		s.site = &browser.Site{} // filled in below, when there is an authority
		d.PublicURL, d.Mail, d.Now = public, true, now
		d.Limits = httpx.NewRateLimit(functions.PerMinute, functions.Burst, nil)
		d.SignIn = manage.People{Service: signin.New(signin.Config{
			PublicURL: public, Authority: entraSite + "/", ClientID: apiClient, Tenants: []string{orgA, browser.Partner}, Operator: operator,
			Flow: signin.IDToken{Tokens: entra.NewAccessTokens(entra.AccessTokensConfig{
				Authority: authority, Tenants: []string{orgA, browser.Partner}, OperatorTenant: operator, Now: now,
				Client: &http.Client{Transport: lateRoundTripper{s}},
			}).IDTokens(apiClient)},
			Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", s.keys, now, d.Log), PublicURL: public, Now: now},
			Now:    now, Log: d.Log,
		})}
	})
	s.site = browser.New(s.entra, entraSite, public, apiClient)
	s.site.Now = now
	return s
}

// lateRoundTripper reaches the authority, which is made after the deployment.
type lateRoundTripper struct{ s *signInRig }

func (l lateRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return l.s.entra.Client().Transport.RoundTrip(r)
}

// person is a person with a browser.
type person struct {
	*browser.Person
	t testing.TB
	s *signInRig
}

func (s *signInRig) person(t testing.TB) *person {
	return &person{browser.NewPerson(browser.Serve(s.public), public, s.site), t, s}
}

// page checks an answer of the deployment as every page is checked.
func (p *person) page(what string, a browser.Answer, err error) page {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	got := page{answer: answer{a.Status, a.Header, a.Body}}
	got.check(p.t, what)
	return got
}

func (p *person) open(target string, header ...string) page {
	p.t.Helper()
	a, err := p.Open(target, header...)
	return p.page("GET "+target, a, err)
}

// send sends the form of a page that was opened before, with what is typed.
func (p *person) send(of page, target string, typed url.Values) page {
	p.t.Helper()
	form := url.Values{"for": {of.value(p.t, "for")}}
	for name, values := range typed {
		form[name] = values
	}
	a, err := p.Send(target, form)
	return p.page("POST "+target, a, err)
}

// begin opens the page of the sign-in, and returns where the browser goes then.
func (p *person) begin(query string) (authorize string) {
	p.t.Helper()
	got := p.open("/api/manage/sign-in"+query).wantPage(p.t, 200, "One moment")
	return p.sentTo(got)
}

// sentTo is where a page sends the browser: by its header and by a link.
func (p *person) sentTo(got page) string {
	p.t.Helper()
	to, ok := strings.CutPrefix(got.header.Get("Refresh"), "0; url=")
	if link := p.link(got, "Go on to Microsoft"); !ok || link != to || !strings.HasPrefix(to, entraSite+"/") || got.header.Get("Cache-Control") != "no-store" {
		p.t.Fatalf("Refresh %q, link %q, %v", to, link, got.header)
	}
	return to
}

// link returns where a link of a page leads to.
func (p *person) link(got page, name string) string {
	p.t.Helper()
	for _, n := range got.all("a") {
		if text(n) == name {
			return attribute(n, "href")
		}
	}
	p.t.Fatalf("there is no link %q in %s", name, got.body)
	return ""
}

// signIn signs in, and returns the deployment's answer.
func (p *person) signIn(query, user string, answer browser.Scenario) page {
	p.t.Helper()
	to, form, err := p.SignIn(p.begin(query), user, answer)
	if err != nil || to != public+"/api/manage/signed-in" {
		p.t.Fatalf("Entra sends the browser to %q (%v)", to, err)
	}
	return p.bring(form)
}

func (p *person) bring(form url.Values) page {
	p.t.Helper()
	a, err := p.Bring("/api/manage/signed-in", form)
	return p.page("POST signed-in", a, err)
}

func TestSignInAtThePages(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	first := p.open("/api/manage/servers/clinic?from=x").wantPage(t, 401, "Sign in")
	want := public + "/api/manage/sign-in?to=" + url.QueryEscape("/api/manage/servers/clinic?from=x")
	if got := p.link(first, "Sign in with Microsoft"); got != want {
		t.Errorf("the link %s, want %s", got, want)
	}
	consent, err := url.Parse(p.link(first, "First time? Your Entra administrator approves this app once"))
	if err != nil || consent.Path != "/organizations/adminconsent" || consent.Query().Get("redirect_uri") != public+"/api/manage/consented" || consent.Query().Get("client_id") != apiClient {
		t.Errorf("the consent: %v", consent)
	}
	if !strings.HasPrefix(p.link(first, "Sign in to another organization"), public+"/api/manage/organization?to=") {
		t.Error("no way to another organization")
	}
	for _, open := range openPages {
		if got := p.open(open); got.status != 200 || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s without a session: %d %v", open, got.status, got.header)
		}
	}
	p.signIn("?to="+url.QueryEscape("/api/manage/add?lang=en"), "ada", "").wantSent(t, "/api/manage/add?lang=en")
	add := p.open("/api/manage/add").wantPage(t, 200, "Manage FHIR Server")
	if !add.has("strong", "Ada Lovelace") || !add.has("button", "Sign out") || !add.has("a", "Switch organization") || add.value(t, "contacts") != "ada@clinic.sandbox.test" {
		t.Errorf("the account: %s", add.body)
	}
	p.send(add, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantSent(t, "/api/manage/servers/clinic?done=linked")
	server := p.open("/api/manage/servers/clinic").wantPage(t, 200, "Clinic clinic")
	if !strings.Contains(server.body, "linked · You") {
		t.Errorf("the history: %s", server.body)
	}
	for _, open := range openPages {
		if got := p.open(open); got.status != 200 || got.header.Get("Cache-Control") != "no-store" || !got.has("strong", "Ada Lovelace") {
			t.Errorf("%s with a session: %d %v", open, got.status, got.header)
		}
	}
	if names := len(p.Cookies); names != 1 {
		t.Errorf("%d cookies", names)
	}
	// The API never reads a cookie, and the pages read no token.
	if a, err := p.Open("/api/links"); err != nil || a.Status != 401 {
		t.Errorf("the API with a cookie: %d, %v", a.Status, err)
	}
	p.send(server, "/api/manage/sign-out", nil).wantSent(t, "/api/manage/signed-out")
	out := p.open("/api/manage/signed-out").wantPage(t, 200, "You are signed out here")
	logout, err := url.Parse(p.link(out, "Sign out of Microsoft too"))
	if err != nil || logout.Path != "/"+orgA+"/oauth2/v2.0/logout" || logout.Query().Get("post_logout_redirect_uri") != public+"/api/manage/signed-out" || logout.Query().Get("logout_hint") == "" {
		t.Errorf("the address to sign out at: %v", logout)
	}
	if a, err := p.Visit(logout.String(), ""); err != nil || a.Status != http.StatusFound || a.Header.Get("Location") != public+"/api/manage/signed-out" {
		t.Errorf("Entra: %+v, %v", a, err)
	}
	p.open("/api/manage/").wantPage(t, 401, "Sign in")
	p.send(server, "/api/manage/sign-out", nil).wantSent(t, "/api/manage/signed-out") // twice
}

// TestSignInOutcomes: each thing that can come of a sign-in has its page, which says what it is and what
// to do.
func TestSignInOutcomes(t *testing.T) {
	for _, c := range []struct {
		answer  browser.Scenario
		status  int
		heading string
		holds   []string
		links   []string
	}{
		{browser.Declined, 403, "You did not let this app know who you are", []string{"AADSTS65004"}, []string{"Sign in again"}},
		{browser.ConsentMissing, 403, "Your organization has not approved this app yet", []string{"AADSTS65001"}, []string{"Approve this app", "Sign in again"}},
		{browser.AdminConsent, 403, "Your organization has not approved this app yet", []string{"AADSTS90094"}, []string{"Approve this app", "Sign in again"}},
		{browser.IDTokensOff, 403, "This service is not set up for sign-in yet", []string{"AADSTS700054", "ID tokens"}, []string{"Sign in again"}},
		{browser.NotAssigned, 403, "You are not assigned to this app yet", []string{"AADSTS50105"}, []string{"Sign in again", "Use another account"}},
		{browser.Blocked, 403, "A rule of your organization stops this sign-in", []string{"AADSTS53003"}, []string{"Sign in again", "Use another account"}},
		{browser.Busy, 503, "Microsoft Entra has trouble just now", []string{"AADSTS90033"}, []string{"Sign in again"}},
		{browser.Strange, 403, "Microsoft Entra refused the sign-in", []string{"AADSTS999999"}, []string{"Sign in again", "Use another account"}},
		{browser.ClockBehind, 401, "The clock of this service is wrong", nil, []string{"Sign in"}},
		{browser.ClockAhead, 401, "The clock of this service is wrong", nil, []string{"Sign in"}},
		{browser.Forged, 401, "Microsoft's answer could not be accepted", nil, []string{"Sign in"}},
		{browser.WrongNonce, 401, "Microsoft's answer could not be accepted", nil, []string{"Sign in"}},
		{browser.WrongState, 401, "This sign-in did not begin here", nil, []string{"Sign in"}},
		{browser.Stranger, 403, "Your organization may not use this service yet", []string{"66666666-6666-4666-8666-666666666666"}, []string{"Use another account", "Sign in to another organization"}},
	} {
		t.Run(string(c.answer), func(t *testing.T) {
			s := newSignInRig(t)
			p := s.person(t)
			got := p.signIn("?to=/api/manage/add", "ada", c.answer).wantPage(t, c.status, c.heading)
			for _, text := range c.holds {
				if !strings.Contains(got.body, text) {
					t.Errorf("no %s in %s", text, got.body)
				}
			}
			for _, name := range c.links {
				to := p.link(got, name)
				if !strings.HasPrefix(to, public+"/api/manage/") && !strings.HasPrefix(to, entraSite+"/organizations/adminconsent?") {
					t.Errorf("%s leads to %s", name, to)
				}
				if name == "Sign in again" && to != public+"/api/manage/sign-in?to=%2Fapi%2Fmanage%2Fadd" {
					t.Errorf("%s leads to %s", name, to)
				}
			}
			if (got.header.Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			if strings.Contains(got.body, "Ada") || strings.Contains(s.log.String(), "Ada") || strings.Contains(s.log.String(), "ada@") {
				t.Error("the page or the log names the person")
			}
			p.open("/api/manage/").wantPage(t, 401, "Sign in")
		})
	}
	t.Run("a key that is new", func(t *testing.T) {
		p := newSignInRig(t).person(t)
		p.signIn("", "ada", browser.KeyRotated).wantSent(t, "/api/manage/")
		p.open("/api/manage/").wantPage(t, 200, "FHIR servers")
	})
	t.Run("every code has its words", func(t *testing.T) {
		p := newSignInRig(t).person(t)
		for _, oauth := range []string{"access_denied", "consent_required", "login_required", "interaction_required", "account_selection_required", "unauthorized_client", "unsupported_response_type", "temporarily_unavailable", "server_error", "anything_else"} {
			for _, number := range []int{0, 50011, 700016, 7000112, 50020, 50053, 90002, 50058, 50076} {
				address, err := url.Parse(p.begin(""))
				if err != nil {
					t.Fatal(err)
				}
				form := url.Values{"error": {oauth}, "state": {address.Query().Get("state")}}
				if number != 0 {
					form.Set("error_description", fmt.Sprintf("AADSTS%d: <b>Words</b> of Entra.", number))
				}
				got := p.bring(form)
				if got.has("h1", "Your account is locked or switched off") != (number == 50053) {
					t.Errorf("%s %d: %s", oauth, number, got.body)
				}
				if got.status != 403 && got.status != 503 || text(got.one(t, "h1")) == "" || strings.Contains(got.body, "Words") || len(got.all("a", "class", "button")) == 0 {
					t.Errorf("%s %d: %d %s", oauth, number, got.status, got.body)
				}
			}
		}
	})
}

// TestSignInThatCannotBeAnswered: answers that belong to nothing, and services that are down.
func TestSignInThatCannotBeAnswered(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	p.bring(url.Values{"id_token": {"x"}, "state": {"y"}}).wantPage(t, 401, "Your browser refuses our cookie")
	p.bring(nil).wantPage(t, 400, "This is no answer of Microsoft Entra")
	p.open("/api/manage/signed-in").wantSent(t, "/api/manage/") // people open what stands in the address bar

	// The answer may be sent again when the keys can be read again.
	_, form, err := p.SignIn(p.begin(""), "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	s.entra.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	if got := p.bring(form).wantPage(t, 503, "Something is not available just now"); got.header.Get("Retry-After") == "" {
		t.Errorf("%v", got.header)
	}
	s.entra.Before = nil
	s.later(time.Minute) // keys are not fetched again at once
	p.bring(form).wantSent(t, "/api/manage/")
	p.bring(form).wantPage(t, 401, "Your browser refuses our cookie") // a replay finds no cookie

	s = newSignInRig(t)
	s.keys.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	p = s.person(t)
	if got := p.open("/api/manage/sign-in").wantPage(t, 503, "Something is not available just now"); got.header.Get("Retry-After") == "" || len(p.Cookies) != 0 {
		t.Errorf("without sealing keys: %v", got.header)
	}
	p.open("/api/manage/").wantPage(t, 401, "Sign in")
	p.Cookies["__Host-session"] = &http.Cookie{Name: "__Host-session", Value: "AQ" + strings.Repeat("A", 100)}
	p.open("/api/manage/").wantPage(t, 503, "Something is not available just now")
	if got := p.open("/api/manage/about"); got.status != 200 {
		t.Errorf("about without sealing keys: %d", got.status)
	}

	s = newSignInRig(t)
	p = s.person(t)
	_, form, err = p.SignIn(p.begin(""), "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	s.later(31 * time.Minute)
	p.bring(form).wantPage(t, 401, "The sign-in took too long")
}

func TestOrganizations(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	// A guest is a stranger to her own organization's links, and manages those of the one she names.
	p.signIn("?to=/api/manage/notifications", "guest", "").wantSent(t, "/api/manage/notifications")
	noRole := p.open("/api/manage/").wantPage(t, 403, "Your account may not manage FHIR servers yet")
	for _, want := range []string{
		"Grace Guest", "guest@partner.sandbox.test", browser.Partner, "a0a0a0a0-0000-4000-8000-000000000003", "Enterprise apps", "Link administrator",
		html.EscapeString("az rest --method post --url"), "az ad sp show --id " + apiClient,
	} {
		if !strings.Contains(noRole.body, want) {
			t.Errorf("no %s in %s", want, noRole.body)
		}
	}
	if p.link(noRole, "Check again") != public+"/api/manage/sign-in?organization="+browser.Partner+"&to=%2Fapi%2Fmanage%2F" || p.link(noRole, "Use another account") != public+"/api/manage/sign-in?prompt=select_account&to=%2Fapi%2Fmanage%2F" {
		t.Errorf("the links: %s", noRole.body)
	}
	a, err := p.Send("/api/manage/add", linkForm("clinic", "clinic", clientSecret))
	p.page("POST add", a, err).wantPage(t, 403, "Your account may not manage FHIR servers yet")

	form := p.open("/api/manage/organization?to=/api/manage/add").wantPage(t, 200, "Switch organization")
	if form.value(t, "to") != "/api/manage/add" || attribute(form.one(t, "form", "method", "get"), "action") != "/api/manage/sign-in" {
		t.Errorf("the form: %s", form.body)
	}
	wrong := p.open("/api/manage/sign-in?organization="+url.QueryEscape("contoso & sons")+"&to=%2Fapi%2Fmanage%2Fadd").wantPage(t, 422, "Switch organization")
	if wrong.value(t, "organization") != "contoso & sons" || wrong.value(t, "to") != "/api/manage/add" || !wrong.has("h2", "There is a problem") {
		t.Errorf("the form again: %s", wrong.body)
	}
	if got := p.open("/api/manage/organization?to=https://evil.example/").value(t, "to"); got != "/api/manage/" {
		t.Errorf("to is %q", got)
	}
	p.open("/api/manage/sign-in?organization=66666666-6666-4666-8666-666666666666").wantPage(t, 403, "Your organization may not use this service yet")
	p.signIn("?organization="+orgA, "guest", "").wantSent(t, "/api/manage/")
	p.open("/api/manage/").wantPage(t, 200, "FHIR servers")
	p.signIn("?organization="+browser.ClinicDomain, "guest", "").wantSent(t, "/api/manage/")
	p.open("/api/manage/").wantPage(t, 200, "FHIR servers")
}

// TestGuestReturns: wherever a guest signs in again, it is to the organization that the pages were of.
func TestGuestReturns(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	p.signIn("?organization="+orgA, "guest", "").wantSent(t, "/api/manage/")
	add := p.open("/api/manage/add").wantPage(t, 200, "Manage FHIR Server")
	here := "organization=" + orgA
	leads := func(what, href string) {
		t.Helper()
		if !strings.Contains(href, here) {
			t.Errorf("%s leads to %s", what, href)
		}
	}
	_, stay, _ := strings.Cut(add.body, `<a class="button" href="`+public+"/api/manage/sign-in?")
	stay, _, _ = strings.Cut(stay, `"`)
	leads("Stay signed in", stay)
	s.later(time.Hour)
	leads("the sign-in after the end", attribute(p.open("/api/manage/add").wantPage(t, 401, "Sign in").one(t, "a", "class", "button main"), "href"))
	delete(p.Cookies, "__Host-session")
	p.signIn("?organization="+browser.Partner+"&to=/api/manage/close", "guest", "") // at home, in the other tab, where the session then ends
	s.later(time.Hour)
	leads("the form beside the session of another organization", attribute(p.send(add, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantPage(t, 401, "Manage FHIR Server").one(t, "a", "target", "_blank"), "href"))
	delete(p.Cookies, "__Host-session")
	lost := p.send(add, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantPage(t, 401, "Manage FHIR Server")
	leads("the form without a session", attribute(lost.one(t, "a", "target", "_blank"), "href"))
	refused := p.signIn("?organization="+browser.ClinicDomain, "guest", browser.Declined)
	if !strings.Contains(refused.body, "organization="+browser.ClinicDomain) {
		t.Errorf("%s", refused.body)
	}
}

// TestSecretInTheAddressIsDropped: also before the sign-in, whose page repeats the address.
func TestSecretInTheAddressIsDropped(t *testing.T) {
	p := newSignInRig(t).person(t)
	p.open("/api/manage/add?clientSecret=canary&slug=x").wantSent(t, "/api/manage/add?dropped=1&slug=x")
	for _, target := range []string{"/api/manage/?clientSecret=canary", "/api/manage/servers/clinic?ClientSecret=canary", "/api/manage/add?client%53ecret=canary&ClientSecret=canary", "/api/manage/?client%53ecret=canary"} {
		p := p.open(target)
		if strings.HasPrefix(target, "/api/manage/add") {
			p.wantSent(t, "/api/manage/add?dropped=1")
		} else {
			p.wantPage(t, 401, "Sign in")
		}
		if strings.Contains(p.body, "canary") {
			t.Errorf("%s is repeated: %s", target, p.body)
		}
	}
	to := url.QueryEscape("/api/manage/add?client%53ecret=canary")
	if p := p.open("/api/manage/organization?to="+to).wantPage(t, 200, "Switch organization"); strings.Contains(p.body, "canary") {
		t.Errorf("it is repeated: %s", p.body)
	}
}

// TestSessionEndsInAForm: what was typed is not lost when the session has ended meanwhile, and the same
// form is good after a sign-in of the same person in another tab.
func TestSessionEndsInAForm(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	p.signIn("", "ada", "").wantSent(t, "/api/manage/")
	add := p.open("/api/manage/add").wantPage(t, 200, "Manage FHIR Server")
	s.later(time.Hour)
	typed := linkForm("clinic", "clinic", clientSecret)
	again := p.send(add, "/api/manage/add", typed).wantPage(t, 401, "Manage FHIR Server")
	for _, name := range []string{"slug", "description", "fhirServerUrl", "clientId", "secretExpiresOn"} {
		if got := again.value(t, name); got != typed.Get(name) {
			t.Errorf("%s is %q", name, got)
		}
	}
	if again.value(t, "clientSecret") != "" || !strings.Contains(again.body, "Enter the secret again") || again.has("button", "Sign out") {
		t.Errorf("the form: %s", again.body)
	}
	link := again.one(t, "a", "target", "_blank")
	if attribute(link, "href") != public+"/api/manage/sign-in?organization="+orgA+"&to=%2Fapi%2Fmanage%2Fclose" || attribute(link, "rel") != "noopener" {
		t.Errorf("the link: %s", again.body)
	}
	p.signIn("?to=/api/manage/close", "nobody", "").wantSent(t, "/api/manage/close") // somebody else, in the other tab
	p.open("/api/manage/close").wantPage(t, 200, "Close this tab and press Save")
	p.send(again, "/api/manage/add", typed).wantPage(t, 409, "You are now signed in as Nobody Inparticular") // who has no role, either
	p.AtEntra = map[string]*http.Cookie{}
	p.signIn("?organization="+orgA, "guest", "").wantSent(t, "/api/manage/")
	p.send(again, "/api/manage/add", typed).wantPage(t, 409, "You are now signed in as Grace Guest")
	p.signIn("?prompt=select_account&to=/api/manage/close", "ada", "").wantSent(t, "/api/manage/close")
	p.send(again, "/api/manage/add", typed).wantSent(t, "/api/manage/servers/clinic?done=linked")

	// The other forms.
	edit := p.open("/api/manage/servers/clinic/edit")
	replace := p.open("/api/manage/servers/clinic/secret")
	remove := p.open("/api/manage/servers/clinic/delete")
	hooks := p.open("/api/manage/notifications")
	s.later(time.Hour)
	change := url.Values{"description": {"Clinic <new>"}, "etag": {edit.value(t, "etag")}, "fhirServerUrl": {"https://clinic.fhir.sandbox.test"}, "contacts": {"a@example.org\nb@example.org"}, "listed": {"1"}, "do": {"save"}}
	changed := p.send(edit, "/api/manage/servers/clinic/edit", change).wantPage(t, 401, "Change Clinic <new>")
	if changed.value(t, "description") != "Clinic <new>" || changed.value(t, "etag") != change.Get("etag") || !strings.HasPrefix(changed.value(t, "contacts"), "a@example.org\nb") || len(changed.all("input", "name", "listed", "checked", "")) != 1 {
		t.Errorf("the form: %s", changed.body)
	}
	if strings.Contains(changed.body, clientID) {
		t.Error("a page without a session shows what is stored")
	}
	replaced := p.send(replace, "/api/manage/servers/clinic/secret", url.Values{"clientSecret": {clientSecret}, "secretExpiresOn": {"2027-02-03"}, "etag": {replace.value(t, "etag")}}).wantPage(t, 401, "Replace client secret")
	if replaced.value(t, "secretExpiresOn") != "2027-02-03" || replaced.value(t, "etag") != replace.value(t, "etag") {
		t.Errorf("the form: %s", replaced.body)
	}
	removed := p.send(remove, "/api/manage/servers/clinic/delete", url.Values{"slug": {"clinic"}, "etag": {remove.value(t, "etag")}}).wantPage(t, 401, "Delete clinic?")
	if removed.value(t, "slug") != "clinic" {
		t.Errorf("the form: %s", removed.body)
	}
	hook := p.send(hooks, "/api/manage/notifications", url.Values{"url": {"https://hooks.example.org/x"}, "description": {"Ours"}, "do": {"add"}}).wantPage(t, 401, "Notifications")
	if hook.value(t, "url") != "https://hooks.example.org/x" || hook.has("p", "There is no webhook yet.") {
		t.Errorf("the form: %s", hook.body)
	}
	p.send(edit, "/api/manage/servers/clinic", url.Values{"do": {"check"}}).wantPage(t, 401, "Sign in")
	p.signIn("", "ada", "").wantSent(t, "/api/manage/")
	p.send(changed, "/api/manage/servers/clinic/edit", change).wantSent(t, "/api/manage/servers/clinic?done=saved")

	// A form that is older than a day says for nobody any more for whom it was made.
	s.later(25 * time.Hour)
	p.signIn("", "ada", "").wantSent(t, "/api/manage/")
	old := p.send(changed, "/api/manage/servers/clinic/edit", change).wantPage(t, 409, "Change Clinic <new>")
	if !old.has("h2", "This form is too old") || old.value(t, "for") == changed.value(t, "for") {
		t.Errorf("the form: %s", old.body)
	}
}

func TestRenewal(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	p.signIn("", "ada", "").wantSent(t, "/api/manage/")
	add := p.open("/api/manage/add")
	p.send(add, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantSent(t, "/api/manage/servers/clinic?done=linked")
	s.later(50 * time.Minute)
	// Forms, downloads and what a page loads are answered at once.
	p.send(add, "/api/manage/add", linkForm("clinic-b", "clinic", clientSecret)).wantSent(t, "/api/manage/servers/clinic-b?done=linked")
	for _, target := range []string{"/api/manage/servers.csv", "/api/manage/servers/clinic/report.json"} {
		if got := p.open(target); got.status != 200 || got.header.Get("Refresh") != "" {
			t.Errorf("%s: %d %v", target, got.status, got.header)
		}
	}
	p.open("/api/manage/servers/clinic", "Sec-Fetch-Dest", "empty").wantPage(t, 200, "Clinic clinic")
	for _, target := range []string{"/api/manage/?q=clinic&status=&sort=name", "/api/manage/scopes?scope=openid"} {
		moment := p.open(target).wantPage(t, 200, "One moment")
		address, err := url.Parse(p.sentTo(moment))
		if err != nil || address.Query().Get("prompt") != "none" || address.Query().Get("login_hint") == "" || address.Path != "/"+orgA+"/oauth2/v2.0/authorize" {
			t.Fatalf("%v, %v", address, err)
		}
		p.open(target, "X", "y") // answered meanwhile: one renewal in five minutes
		a, err := p.Visit(address.String(), "")
		if err != nil {
			t.Fatal(err)
		}
		_, form := browser.Posted(a.Body)
		p.bring(form).wantSent(t, target)
		if got := p.open(target); got.header.Get("Refresh") != "" {
			t.Errorf("%s is renewed again", target)
		}
		s.later(50 * time.Minute)
		delete(p.Cookies, "__Host-renewed") // its five minutes are over
	}
	// Entra does not know the person any more: the session goes on until its end.
	p.AtEntra = map[string]*http.Cookie{}
	a, err := p.Visit(p.sentTo(p.open("/api/manage/").wantPage(t, 200, "One moment")), "")
	if err != nil {
		t.Fatal(err)
	}
	_, form := browser.Posted(a.Body)
	if form.Get("error") != "login_required" {
		t.Fatalf("Entra: %v", form)
	}
	p.bring(form).wantSent(t, "/api/manage/")
	p.open("/api/manage/").wantPage(t, 200, "FHIR servers")
}

// TestSignInPagesAreOurs: no page but one takes a form of another site, and no address leads elsewhere.
func TestSignInPagesAreOurs(t *testing.T) {
	s := newSignInRig(t)
	p := s.person(t)
	p.signIn("", "ada", "").wantSent(t, "/api/manage/")
	for _, target := range append([]string{"/api/manage/sign-out"}, formPages...) {
		for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site", "Origin", entraSite}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			a, err := p.Send(target, url.Values{"do": {"x"}}, from...)
			p.page(target, a, err).wantPage(t, 403, "You may not do this")
		}
	}
	p.open("/api/manage/").wantPage(t, 200, "FHIR servers")
	for _, to := range []string{"//evil.example", `\evil.example`, "https://evil.example", "/api/manage/../..", "/api/manage/%2e%2e/links", "/api/manage/sign-in", "/api/manage/signed-out", "/api/links", "/api/manage/" + strings.Repeat("a", 500)} {
		p.AtEntra = map[string]*http.Cookie{}
		p.signIn("?to="+url.QueryEscape(to), "ada", "").wantSent(t, "/api/manage/")
	}
	for _, query := range []string{"", "?admin_consent=True&tenant=" + orgB, "?error=access_denied&error_description=<b>x"} {
		got := p.open("/api/manage/consented"+query).wantPage(t, 200, "Approved. Sign in")
		if got.body != p.open("/api/manage/consented").body {
			t.Errorf("%s changes the page", query)
		}
	}
	// A page never says who else is signed in.
	if got := p.open("/api/manage/none"); got.status != 404 || !got.has("strong", "Ada Lovelace") {
		t.Errorf("a page that does not exist: %d", got.status)
	}
	if _, err := s.deps.SignIn.Visitor(&http.Request{Header: http.Header{"Authorization": {"Bearer " + s.token(manager(orgA))}}}); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("a token at the pages: %v", err)
	}
}
