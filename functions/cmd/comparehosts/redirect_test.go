package comparehosts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/entra/entratest/browser"
)

// TestRedirectCorpus: each address that an app may register comes back byte for byte, in errors and with
// codes, through hosts that parse and write Location anew. No other address ever comes back, neither from
// authorize nor from callback.
func TestRedirectCorpus(t *testing.T) {
	cloudtest.LinuxOnly(t)
	accepted, refused := redirectCorpus(t)
	for _, h := range hosts {
		if h.name == "azure forwarding" || !testing.Short() {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				c := newRedirecting(t, h)
				c.register(accepted)
				for _, app := range c.apps {
					for _, uri := range app.uris {
						c.comesBack(app, uri)
					}
				}
				c.refusesToRegister(refused)
				for _, uri := range refused {
					c.isNotAsked(uri)
				}
				for _, uri := range refused {
					if len(uri) < 1000 { // no host takes longer ones several times
						c.isNotSmuggled(uri)
					}
				}
				c.isWithdrawn()
				c.checkLocations()
			})
		}
	}
}

func redirectCorpus(t *testing.T) (accepted, refused []string) {
	t.Helper()
	data, err := os.ReadFile("../../../shared/smartauth/redirect/testdata/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct{ Accepted, Public, Refused []string }
	if err := json.Unmarshal(data, &corpus); err != nil {
		t.Fatal(err)
	}
	accepted = append(corpus.Accepted, corpus.Public...)
	// The first apps have no address on the user's machine: of those any port is taken.
	loopback := func(uri string) bool { return strings.HasPrefix(uri, "http://") }
	elsewhere := slices.DeleteFunc(slices.Clone(accepted), loopback)
	return append(elsewhere, slices.DeleteFunc(accepted, func(uri string) bool { return !loopback(uri) })...), corpus.Refused
}

// redirecting is a link with apps, and a person in front of it.
type redirecting struct {
	*testing.T
	cloud     *cloudtest.Cloud
	url       string
	apps      []redirectingApp
	person    *browser.Person
	locations []string // of the program's answers
}

type redirectingApp struct {
	id   string
	uris []string
}

const redirectSlug = "corpus-clinic"

func newRedirecting(t *testing.T, h host) *redirecting {
	c := &redirecting{T: t, cloud: cloudtest.Start(t)}
	heard := &secrets{}
	printed := heard.kept(t)
	running := h.start(t, c.cloud, table(t))
	*printed = running.printed
	c.url = running.url
	client := heard.client(http.DefaultTransport)
	c.person = browser.NewPerson(func(r *http.Request) (*http.Response, error) {
		answer, err := client.Do(r)
		if err == nil && answer.Header["Location"] != nil {
			c.locations = append(c.locations, answer.Header["Location"]...)
		}
		return answer, err
	}, c.url, c.cloud.Site)
	return c
}

// call sends JSON as an organization. want is the expected status.
func (c *redirecting) call(want int, method, path string, body any) []byte {
	c.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		c.Fatal(err)
	}
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, bytes.NewReader(data))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.cloud.App(appsTenant, manager))
	precondition := "If-Match"
	if method == "PUT" { // to create
		precondition = "If-None-Match"
	}
	r.Header.Set(precondition, "*")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		c.Fatalf("%s %s: %s %v %s", method, path, answer.Status, err, text)
	}
	return text
}

// register registers the addresses, as many for each app as it may have.
func (c *redirecting) register(uris []string) {
	c.Helper()
	c.call(http.StatusCreated, "POST", "/api/register", c.cloud.Registration(redirectSlug))
	c.call(http.StatusCreated, "PUT", "/api/links/"+redirectSlug+"/smart", map[string]string{"tokens": "fhirlink"})
	for chunk := range slices.Chunk(uris, 16) {
		app := redirectingApp{fmt.Sprint("corpus-", len(c.apps)), chunk}
		c.apps = append(c.apps, app)
		c.call(http.StatusCreated, "POST", "/api/links/"+redirectSlug+"/apps", map[string]any{"clientId": app.id, "name": app.id, "type": "public", "redirectUris": app.uris, "scopes": []string{"patient/*.rs"}})
	}
}

// request is a request of an app that is in order.
func (c *redirecting) request(app redirectingApp, uri string) url.Values {
	base, _ := c.cloud.Registration(redirectSlug)["fhirServerUrl"].(string)
	return url.Values{
		"response_type": {"code"}, "client_id": {app.id}, "redirect_uri": {uri}, "state": {"canary-state"}, "aud": {strings.TrimSuffix(base, "/metadata")}, "scope": {"patient/*.rs"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, "login_hint": {"auto:pat"},
	}
}

func (c *redirecting) open(path string, query url.Values) browser.Answer {
	c.Helper()
	answer, err := c.person.Open("/api/smart/"+redirectSlug+path+"?"+query.Encode(), "Sec-Fetch-Site", "cross-site")
	if err != nil {
		c.Fatal(err)
	}
	return answer
}

// before is what stands before the first parameter of an answer to an app.
func before(uri string) string {
	_, query, some := strings.Cut(uri, "?")
	switch {
	case !some:
		return uri + "?"
	case query == "":
		return uri
	}
	return uri + "&"
}

// comesBack: an error and a code are sent to the address, as it was registered.
func (c *redirecting) comesBack(app redirectingApp, uri string) {
	c.Helper()
	query := c.request(app, uri)
	query.Del("scope")
	if refused := c.open("/authorize", query); refused.Status != http.StatusSeeOther || !strings.HasPrefix(refused.Header.Get("Location"), before(uri)+"error=invalid_request&error_description=") {
		c.Errorf("%q: an error goes to %d %q", uri, refused.Status, refused.Header.Get("Location"))
	}
	begun := c.open("/authorize", c.request(app, uri))
	back, err := c.person.Authorize(begun, "", "")
	if err != nil {
		c.Fatalf("%q: %v", uri, err)
	}
	if to := back.Header.Get("Location"); back.Status != http.StatusSeeOther || !strings.HasPrefix(to, before(uri)+"code=flc_") || !strings.HasSuffix(to, "&state=canary-state") {
		c.Errorf("%q: a code goes to %d %q", uri, back.Status, to)
	}
}

// refusesToRegister: no address is registered, and each is told why.
func (c *redirecting) refusesToRegister(uris []string) {
	c.Helper()
	for chunk := range slices.Chunk(uris, 16) {
		text := c.call(http.StatusUnprocessableEntity, "POST", "/api/links/"+redirectSlug+"/apps", map[string]any{"clientId": "refused", "name": "Refused", "type": "public", "redirectUris": chunk, "scopes": []string{"patient/*.rs"}})
		var told struct{ Errors []struct{ Field string } }
		if err := json.Unmarshal(text, &told); err != nil || len(told.Errors) != len(chunk) {
			c.Errorf("%d of %q are refused (%v)", len(told.Errors), chunk, err)
		}
	}
}

// isNotAsked: whoever asks for an address that is not registered gets a page.
func (c *redirecting) isNotAsked(uri string) {
	c.Helper()
	asked := c.open("/authorize", c.request(c.apps[0], uri))
	posted, err := c.person.Send("/api/smart/"+redirectSlug+"/authorize", c.request(c.apps[1], uri), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if err != nil {
		c.Fatal(err)
	}
	for method, answer := range map[string]browser.Answer{"GET": asked, "POST": posted} {
		if answer.Status != http.StatusBadRequest || answer.Header["Location"] != nil || answer.Header["Set-Cookie"] != nil || answer.Header.Get("Refresh") != "" || !strings.Contains(answer.Body, "<h1>") {
			c.Errorf("%s %q: %d %v", method, uri, answer.Status, answer.Header)
		}
	}
}

// isNotSmuggled: an address in Entra's answer counts for nothing, whoever brings it.
func (c *redirecting) isNotSmuggled(uri string) {
	c.Helper()
	app := c.apps[2]
	begun := c.open("/authorize", c.request(app, app.uris[0]))
	at, err := c.person.Visit(begun.Header.Get("Location"), "")
	if err != nil {
		c.Fatal(err)
	}
	to, err := url.Parse(at.Header.Get("Location"))
	if err != nil {
		c.Fatal(err)
	}
	query := to.Query()
	for _, name := range []string{"redirect_uri", "post_logout_redirect_uri", "error_uri", "iss"} {
		query.Set(name, uri)
	}
	cookies := c.person.Cookies
	c.person.Cookies = map[string]*http.Cookie{}
	stranger := c.open("/callback", query)
	c.person.Cookies = cookies
	asState := c.open("/callback", url.Values{"state": {uri}, "code": {uri}})
	for who, answer := range map[string]browser.Answer{"another browser": stranger, "as state": asState} {
		if answer.Status != http.StatusBadRequest || answer.Header["Location"] != nil {
			c.Errorf("%s, %q: %d %v", who, uri, answer.Status, answer.Header)
		}
	}
	if back := c.open("/callback", query); !strings.HasPrefix(back.Header.Get("Location"), before(app.uris[0])+"code=flc_") {
		c.Errorf("%q: %d %q", uri, back.Status, back.Header.Get("Location"))
	}
}

// isWithdrawn: an address that is registered no more while the user is at Entra gets nothing.
func (c *redirecting) isWithdrawn() {
	c.Helper()
	app := c.apps[3]
	begun := c.open("/authorize", c.request(app, app.uris[0]))
	c.call(http.StatusOK, "PATCH", "/api/links/"+redirectSlug+"/apps/"+app.id, map[string]any{"redirectUris": app.uris[1:]})
	back, err := c.person.Authorize(begun, "", "")
	if err != nil || back.Status != http.StatusBadRequest || back.Header["Location"] != nil || !strings.Contains(back.Body, "address is not registered") {
		c.Errorf("%d %v %v", back.Status, back.Header, err)
	}
}

// checkLocations: every Location of the run was Entra's, or a registered address.
func (c *redirecting) checkLocations() {
	c.Helper()
	known := []string{c.cloud.AuthorityURL + "/" + cloudtest.Tenant + "/oauth2/v2.0/authorize?"}
	for _, app := range c.apps {
		for _, uri := range app.uris {
			known = append(known, before(uri)+"code=flc_", before(uri)+"error=invalid_request&")
		}
	}
	for _, location := range c.locations {
		if !slices.ContainsFunc(known, func(start string) bool { return strings.HasPrefix(location, start) }) {
			c.Errorf("a foreign address: %q", location)
		}
	}
	if len(c.locations) < 600 {
		c.Errorf("only %d redirects", len(c.locations))
	}
}
