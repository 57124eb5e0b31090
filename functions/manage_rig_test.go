package functions_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"fhirlink/functions"
	"fhirlink/functions/manage"
	"fhirlink/shared/caller"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/secret"
	"fhirlink/shared/signin"
)

// visitors is a sign-in whose visitor is named by a header of the test.
type visitors struct{}

const visitorHeader = "Test-Visitor"

// The visitors of the tests.
const (
	ada    = "ada"   // manages the links of orgA
	grace  = "grace" // manages those of orgB
	joan   = "joan"  // a guest, who manages those of orgA
	guest  = "guest" // of orgA, without the role
	nobody = ""      // is not signed in

	pagesApp = "44444444-4444-4444-8444-444444444444" // the pages' client id, and that of the tests' applications
	adaName  = "ada <ada@example.org>"
)

var known = map[string]caller.Caller{
	ada:   {Organization: orgA, ObjectID: "a1a1a1a1-1111-4111-8111-111111111111", Name: adaName, Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Administrator"}},
	grace: {Organization: orgB, ObjectID: "b2b2b2b2-2222-4222-8222-222222222222", Name: "grace", Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Administrator"}},
	joan:  {Organization: orgA, AppID: pagesApp, ObjectID: "d4d4d4d4-4444-4444-8444-444444444444", Name: "joan", Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Administrator"}},
	guest: {Organization: orgA, ObjectID: "c3c3c3c3-3333-4333-8333-333333333333", Name: "guest", Scopes: []string{"Links.Manage"}},
}

var usernames = map[string]string{adaName: "ada@example.org", "joan": "joan_example.net#EXT#@example.org"}

func (visitors) Visitor(r *http.Request) (manage.Visitor, error) {
	c, ok := known[r.Header.Get(visitorHeader)]
	if !ok {
		return manage.Visitor{}, signin.ErrNoSession
	}
	return manage.Visitor{Caller: c, Username: usernames[c.Name]}, nil
}

func (visitors) For(_ context.Context, c caller.Caller) (string, error) {
	return "bound-to-" + c.ObjectID, nil
}

func (s visitors) CheckFor(ctx context.Context, c caller.Caller, value string) error {
	switch want, _ := s.For(ctx, c); {
	case value == want:
		return nil
	case strings.HasPrefix(value, "bound-to-"):
		return signin.ErrOtherPerson
	}
	return signin.ErrStaleForm
}

// pagesRig is a rig whose pages have visitors and a public URL.
func pagesRig(t testing.TB, change ...func(*functions.Deps)) *rig {
	return newRig(t, append([]func(*functions.Deps){func(d *functions.Deps) {
		d.SignIn, d.PublicURL, d.Mail = visitors{}, public, true
	}}, change...)...)
}

// page is an answer of the pages.
type page struct {
	answer
	doc *html.Node
}

// get asks for a page as a visitor.
func (r *rig) get(t testing.TB, visitor, target string, header ...string) page {
	t.Helper()
	return r.visit(t, visitor, http.MethodGet, target, "", header...)
}

// post sends a form as a visitor's own page would.
func (r *rig) post(t testing.TB, visitor, target string, form url.Values) page {
	t.Helper()
	sent := url.Values{"for": {"bound-to-" + known[visitor].ObjectID}}
	for name, values := range form {
		sent[name] = values
	}
	return r.visit(t, visitor, http.MethodPost, target, sent.Encode(), "Content-Type", formType, "Sec-Fetch-Site", "same-origin")
}

func (r *rig) visit(t testing.TB, visitor, method, target, body string, header ...string) page {
	t.Helper()
	sent := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if visitor != nobody {
		sent.Header.Set(visitorHeader, visitor)
	}
	for i := 0; i+1 < len(header); i += 2 {
		sent.Header.Set(header[i], header[i+1])
	}
	p := page{answer: ask(r.public, sent)}
	p.check(t, method+" "+target)
	return p
}

// pageHeaders are what every page has.
var pageHeaders = map[string]string{
	"Content-Security-Policy":    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":     "nosniff",
	"Referrer-Policy":            "same-origin",
	"Cross-Origin-Opener-Policy": "same-origin",
	"Strict-Transport-Security":  "max-age=31536000",
}

var titlePattern = regexp.MustCompile(`(?s)^(Error: )?.+ – fhirlink$`)

// check checks what holds for every answer of the pages: its headers, that it is no JSON problem, that
// it holds no secret, and that its HTML has a page's frame and nothing that a text could smuggle in.
func (p *page) check(t testing.TB, what string) {
	t.Helper()
	for name, want := range pageHeaders {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %s is %q", what, name, got)
		}
	}
	if p.header.Get("X-Correlation-Id") == "" || p.header.Get("Cache-Control") == "" || !strings.Contains(p.header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("%s: headers %v", what, p.header)
	}
	for _, values := range p.header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c > 126 || c < 32 }) {
				t.Errorf("%s: a header is not ASCII: %q", what, v)
			}
		}
	}
	if found := leaks(p.body, clientSecret, expiredSecret, wrongSecret); found != nil {
		t.Errorf("%s: the answer holds a secret: %q", what, found)
	}
	kind := p.header.Get("Content-Type")
	if strings.Contains(kind, "problem") || p.status >= 400 && !strings.HasPrefix(kind, "text/html") {
		t.Fatalf("%s: %d %s %s", what, p.status, kind, p.body)
	}
	if !strings.HasPrefix(kind, "text/html") || p.status == http.StatusSeeOther || p.header.Get("Content-Encoding") != "" {
		return
	}
	if kind != "text/html; charset=utf-8" {
		t.Errorf("%s: Content-Type %s", what, kind)
	}
	doc, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	p.doc = doc
	if n := len(p.all("h1")); n != 1 {
		t.Errorf("%s: %d h1", what, n)
	}
	if title := text(p.one(t, "title")); !titlePattern.MatchString(title) || (strings.HasPrefix(title, "Error: ") || strings.HasPrefix(title, "Fehler: ")) != (p.status >= 400 && p.status != 401) || !strings.Contains(title, text(p.one(t, "h1"))) {
		t.Errorf("%s: %d with the title %q", what, p.status, title)
	}
	p.harmless(t, what)
}

// tags are all elements that pages have.
var tags = strings.Fields(`html head meta title link body a header div nav ul li strong span details summary code main footer h1 h2 h3 p form input
	label textarea select option button table thead tbody tr th td ol pre dl dt dd section br time svg path title desc rect circle line text g meter mark template script`)

// addresses are what the addresses on pages begin with: those of the sign-in are absolute.
var addresses = []string{"/api/", "#", public + "/api/manage/", entraSite + "/"}

var urlAttributes = []string{"href", "action", "src", "formaction"}

// harmless finds what no page has: other elements, handlers, inline styles, and addresses elsewhere.
func (p page) harmless(t testing.TB, what string) {
	t.Helper()
	ids := map[string]bool{}
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(tags, n.Data) {
			t.Errorf("%s: element %s", what, n.Data)
		}
		if n.Data == "script" && (!strings.HasPrefix(attribute(n, "src"), "/api/manage/assets/") || n.FirstChild != nil) {
			t.Errorf("%s: a script that is not a file of ours", what)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" {
				t.Errorf("%s: attribute %s of %s", what, a.Key, n.Data)
			}
			if slices.Contains(urlAttributes, a.Key) && !slices.ContainsFunc(addresses, func(prefix string) bool { return strings.HasPrefix(a.Val, prefix) }) {
				t.Errorf("%s: %s of %s is %q", what, a.Key, n.Data, a.Val)
			}
			if a.Key == "id" && ids[a.Val] {
				t.Errorf("%s: the id %s stands twice", what, a.Val)
			}
			if a.Key == "id" {
				ids[a.Val] = true
			}
		}
	}
}

// all returns the elements with a name and, if given, with attributes that have those values.
func (p page) all(name string, attributes ...string) (found []*html.Node) {
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != name {
			continue
		}
		ok := true
		for i := 0; i+1 < len(attributes); i += 2 {
			ok = ok && attribute(n, attributes[i]) == attributes[i+1]
		}
		if ok {
			found = append(found, n)
		}
	}
	return found
}

func (p page) one(t testing.TB, name string, attributes ...string) *html.Node {
	t.Helper()
	found := p.all(name, attributes...)
	if len(found) == 0 {
		t.Fatalf("there is no %s %q in %s", name, attributes, p.body)
	}
	return found[0]
}

// value returns what a field of the page holds.
func (p page) value(t testing.TB, name string) string {
	t.Helper()
	if areas := p.all("textarea", "name", name); len(areas) > 0 {
		return text(areas[0])
	}
	return attribute(p.one(t, "input", "name", name), "value")
}

// has reports whether an element with this text is on the page.
func (p page) has(name, words string) bool {
	return slices.ContainsFunc(p.all(name), func(n *html.Node) bool { return strings.TrimSpace(text(n)) == words })
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// want checks a page's status and heading.
func (p page) wantPage(t testing.TB, status int, heading string) page {
	t.Helper()
	if p.status != status {
		t.Fatalf("status %d, want %d: %s", p.status, status, p.body)
	}
	if got := text(p.one(t, "h1")); got != heading {
		t.Fatalf("h1 %q, want %q: %s", got, heading, p.body)
	}
	return p
}

// wantSent checks a redirect.
func (p page) wantSent(t testing.TB, to string) {
	t.Helper()
	if p.status != http.StatusSeeOther || p.header.Get("Location") != to {
		t.Fatalf("%d to %q, want 303 to %q: %s", p.status, p.header.Get("Location"), to, p.body)
	}
}

// linkForm is the form of seed 1, filled in.
func linkForm(slug, scenario, secret string) url.Values {
	return url.Values{
		"slug": {slug}, "description": {"Clinic " + slug}, "fhirServerUrl": {"https://" + scenario + ".fhir.sandbox.test/metadata"},
		"clientId": {clientID}, "clientSecret": {secret}, "secretExpiresOn": {inDays(300)}, "do": {"save"},
	}
}

func (r *rig) change(t testing.TB, slug string, how func(*linkRow)) {
	t.Helper()
	_, err := r.stores.Update(context.Background(), linkSlug(slug), func(l linkRow) (linkRow, error) {
		how(&l)
		return l, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func registrationFor(slug string) intake.Registration {
	return intake.Registration{
		Slug: slug, Description: "Clinic " + slug, FHIRServerURL: "https://clinic.fhir.sandbox.test", ClientID: clientID, ClientSecret: secret.New(clientSecret), SecretExpiresOn: inDays(300),
	}
}
