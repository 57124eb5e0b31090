package browser

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
)

// Person is a person with a browser, for tests: at a deployment, and at the sandbox Entra. Set the
// exported fields before its first use.
type Person struct {
	Deployment func(*http.Request) (*http.Response, error)
	Base       string // where requests to the deployment are sent, without a slash at the end
	Entra      *Site

	Cookies, AtEntra map[string]*http.Cookie // by name
}

// NewPerson returns a person without cookies.
func NewPerson(deployment func(*http.Request) (*http.Response, error), base string, entra *Site) *Person {
	return &Person{deployment, base, entra, map[string]*http.Cookie{}, map[string]*http.Cookie{}}
}

// Serve lets a person reach a deployment in this process.
func Serve(deployment http.Handler) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) { return serve(deployment, r), nil }
}

// serve hands over a request as a server receives it.
func serve(h http.Handler, r *http.Request) *http.Response {
	arrived := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	arrived.Header = r.Header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, arrived)
	return w.Result()
}

// Answer is what a person sees.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Open asks the deployment for a page, as a link of its own or the address bar does. Headers come in pairs of name
// and value.
func (p *Person) Open(target string, header ...string) (Answer, error) {
	return p.send(http.MethodGet, target, nil, append([]string{"Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"}, header...))
}

// Send sends the form of a page of the deployment to it.
func (p *Person) Send(target string, form url.Values, header ...string) (Answer, error) {
	return p.send(http.MethodPost, target, form, append([]string{"Sec-Fetch-Site", "same-origin"}, header...))
}

// Bring sends a form of Entra's page to the deployment. A browser sends only cookies with SameSite=None
// with it.
func (p *Person) Bring(target string, form url.Values) (Answer, error) {
	return p.send(http.MethodPost, target, form, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", p.Entra.URL})
}

func (p *Person) send(method, target string, form url.Values, header []string) (a Answer, err error) {
	r, err := http.NewRequest(method, p.Base+target, strings.NewReader(form.Encode()))
	if err != nil {
		return a, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	crossSite := r.Header.Get("Sec-Fetch-Site") == "cross-site"
	for _, c := range p.Cookies {
		if !crossSite || crosses(c, method) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	response, err := p.Deployment(r)
	if err != nil {
		return a, err
	}
	return receive(response, p.Cookies)
}

// crosses reports whether a browser sends a cookie with a navigation from another site: one that is Lax,
// or does not say, only with GET.
func crosses(c *http.Cookie, method string) bool {
	return c.SameSite == http.SameSiteNoneMode || c.SameSite != http.SameSiteStrictMode && method == http.MethodGet
}

// receive reads a response, and keeps its cookies.
func receive(response *http.Response, cookies map[string]*http.Cookie) (Answer, error) {
	defer response.Body.Close()
	for _, c := range response.Cookies() {
		if c.MaxAge < 0 {
			delete(cookies, c.Name)
		} else {
			cookies[c.Name] = c
		}
	}
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, err
}

// Visit opens an address at Entra. A choice, unless it is empty, is the form that the person sends there.
func (p *Person) Visit(address, choice string) (Answer, error) {
	method := http.MethodGet
	if choice != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, address, strings.NewReader(choice))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range p.AtEntra {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return receive(serve(p.Entra, r), p.AtEntra)
}

// SignIn is Visit of an address of the authorization endpoint, where a user and a scenario are chosen. It
// returns the form that the browser then posts to the deployment, and the address.
func (p *Person) SignIn(address, user string, answer Scenario) (to string, form url.Values, err error) {
	a, err := p.Visit(address, url.Values{"user": {user}, "answer": {string(answer)}}.Encode())
	to, form = Posted(a.Body)
	return to, form, err
}

// Authorize takes a redirect of the deployment to Entra's authorization endpoint, chooses a user and a
// scenario there, and returns what the deployment says to the redirect back. Without a user nothing is
// chosen: for those who are signed in, and for a login hint that needs no page.
func (p *Person) Authorize(redirect Answer, user string, answer Scenario) (Answer, error) {
	choice := ""
	if user != "" {
		choice = url.Values{"user": {user}, "answer": {string(answer)}}.Encode()
	}
	at, err := p.Visit(redirect.Header.Get("Location"), choice)
	if err != nil {
		return Answer{}, err
	}
	if to, form := Posted(at.Body); at.Status == http.StatusOK && len(form) > 0 {
		target, err := p.target(to)
		if err != nil {
			return Answer{}, err
		}
		return p.Bring(target, form)
	}
	return p.Follow(at)
}

// Follow goes where a redirect leads: to Entra, or from there to the deployment. It is a navigation from
// another site, with which a browser sends all cookies that are not SameSite=Strict.
func (p *Person) Follow(redirect Answer) (Answer, error) {
	to := redirect.Header.Get("Location")
	if strings.HasPrefix(to, p.Entra.URL+"/") {
		return p.Visit(to, "")
	}
	target, err := p.target(to)
	if err != nil {
		return Answer{}, fmt.Errorf("%d %s: %w", redirect.Status, redirect.Body, err)
	}
	return p.Open(target, "Sec-Fetch-Site", "cross-site")
}

// target returns an address of the deployment without its public URL.
func (p *Person) target(address string) (string, error) {
	target, ok := strings.CutPrefix(address, p.Entra.PublicURL)
	if !ok || !strings.HasPrefix(target, "/") {
		return "", fmt.Errorf("%q is no address of the deployment at %s", address, p.Entra.PublicURL)
	}
	return target, nil
}

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
)

// Posted returns the form that a page of Entra makes the browser post, and where to; "" for nowhere.
func Posted(page string) (to string, form url.Values) {
	found := formAction.FindStringSubmatch(page)
	if found == nil {
		return "", nil
	}
	form = url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return html.UnescapeString(found[1]), form
}
