package signin_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signin"
)

const (
	public   = "https://links.contoso.com"
	clientID = "99999999-9999-4999-8999-999999999999"
	clinic   = browser.Clinic
	partner  = browser.Partner
	entraURL = "http://127.0.0.1:7072"
	ada      = "a0a0a0a0-0000-4000-8000-000000000001"
)

// rig is a deployment, the sandbox Entra, and a person with a browser.
type rig struct {
	*signin.Service
	t     *testing.T
	entra *browser.Site
	store *secrettest.Store
	now   time.Time
	log   *strings.Builder

	refusesCookies bool
	cookies        map[string]*http.Cookie // of the deployment
	person         *browser.Person
}

func newRig(t *testing.T, change func(*signin.Config)) *rig {
	r := &rig{
		t: t, store: secrettest.New(), now: time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC), log: &strings.Builder{},
		cookies: map[string]*http.Cookie{},
	}
	now := func() time.Time { return r.now }
	authority := entratest.New(entratest.Tenant{ID: clinic}, entratest.Tenant{ID: partner})
	authority.URL, authority.Now = "https://login.sandbox.test/", now
	r.entra = browser.New(authority, entraURL, public, clientID)
	r.person = browser.NewPerson(nil, "", r.entra)
	log := slog.New(slog.NewTextHandler(r.log, nil))
	tokens := entra.NewAccessTokens(entra.AccessTokensConfig{Authority: authority.URL, Tenants: []string{clinic, partner}, Client: authority.Client(), Now: now})
	c := signin.Config{
		PublicURL: public, Authority: entraURL + "/", ClientID: clientID, Tenants: []string{clinic, partner},
		Flow:   signin.IDToken{Tokens: tokens.IDTokens(clientID)},
		Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", r.store, now, log), PublicURL: public, Now: now},
		Now:    now, Log: log,
	}
	if change != nil {
		change(&c)
	}
	r.Service = signin.New(c)
	return r
}

// request makes a request of the browser to the deployment. A cross-site POST has no cookies but those
// with SameSite=None.
func (r *rig) request(method, target, body string, crossSite bool) *http.Request {
	request := httptest.NewRequest(method, public+target, strings.NewReader(body))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range r.cookies {
		if !crossSite || method != http.MethodPost || c.SameSite == http.SameSiteNoneMode {
			request.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return request
}

// take keeps cookies as a browser does, and checks what all of ours have in common.
func (r *rig) take(cookies []*http.Cookie) {
	r.t.Helper()
	for _, c := range cookies {
		if text := c.String(); !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") || text == "" {
			r.t.Errorf("the cookie %q", text)
		}
		if r.refusesCookies {
			continue
		}
		if c.MaxAge < 0 {
			delete(r.cookies, c.Name)
		} else {
			r.cookies[c.Name] = c
		}
	}
}

// start begins a sign-in with this query and returns the address at Entra.
func (r *rig) start(query string) string {
	r.t.Helper()
	begun, err := r.Start(r.request(http.MethodGet, signin.SignIn+"?"+query, "", false))
	if err != nil {
		r.t.Fatal(err)
	}
	r.take(begun.Cookies)
	return begun.URL
}

// visit opens an address at Entra; a body is what the person chooses there.
func (r *rig) visit(address, body string) (status int, page string) {
	r.t.Helper()
	a, err := r.person.Visit(address, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return a.Status, a.Body
}

// posted returns the form that a page of Entra sends to the deployment.
func (r *rig) posted(page string) url.Values {
	r.t.Helper()
	to, form := browser.Posted(page)
	if to != public+signin.SignedIn {
		r.t.Fatalf("the page sends nothing to us: %s", page)
	}
	return form
}

// answer posts a form of Entra's to the deployment.
func (r *rig) answer(form url.Values) signin.Answer {
	r.t.Helper()
	a, err := r.Answer(r.request(http.MethodPost, signin.SignedIn, form.Encode(), true))
	if err != nil {
		r.t.Fatal(err)
	}
	r.take(a.Cookies)
	return a
}

// signIn signs a user in, with a choice of what Entra answers.
func (r *rig) signIn(query, user string, answer browser.Scenario) signin.Answer {
	r.t.Helper()
	_, page := r.visit(r.start(query), url.Values{"user": {user}, "answer": {string(answer)}}.Encode())
	return r.answer(r.posted(page))
}

// session returns who is signed in.
func (r *rig) session() (signin.Session, error) {
	return r.Session(r.request(http.MethodGet, signin.Base, "", false))
}
