package comparehosts_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/paste"
)

// secrets hears every request and every answer of a run, and remembers what no program may print.
type secrets struct {
	mu  sync.Mutex
	all map[string]string // what it is, by value
}

// The names of what is secret, in forms, queries and JSON.
var (
	secretParameters = []string{"code", "state", "nonce", "refresh_token", "token", "client_secret", "code_verifier", "id_token", "client_assertion", "launch"}
	secretMembers    = []string{"access_token", "refresh_token", "id_token", "clientSecret", "client_secret", "signingSecret", "patient", "launch"}
)

// shortest is the least length of a secret: a shorter one may stand somewhere by chance.
const shortest = 10

func (s *secrets) add(what, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]string{}
	}
	if len(value) >= shortest && strings.Trim(value, "x") != "" {
		s.all[value] = what
	}
}

func (s *secrets) addAll(values url.Values) {
	for _, name := range secretParameters {
		for _, value := range values[name] {
			s.add(name, value)
		}
	}
	for _, value := range values["client_id"] {
		s.addMisplaced("client_id", value)
	}
}

// ours begins each secret, code, token and launch that we make.
var ours = paste.MustCompile(`^fl[scrl]_`)

// addMisplaced adds a client id that is none: it is a secret in the wrong place.
func (s *secrets) addMisplaced(what, value string) {
	if ours.MatchString(value) {
		s.add(what, value)
	}
}

// client is a client that is overheard. It follows no redirects.
func (s *secrets) client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     overheard{s, transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type overheard struct {
	by *secrets
	http.RoundTripper
}

func (o overheard) RoundTrip(r *http.Request) (*http.Response, error) {
	o.by.addAll(r.URL.Query())
	for _, c := range r.Cookies() {
		o.by.add("cookie", c.Value)
	}
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		o.by.add(scheme, value)
		if text, err := base64.StdEncoding.DecodeString(value); err == nil {
			id, _, _ := strings.Cut(string(text), ":")
			o.by.addMisplaced("client id of "+scheme, id)
		}
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		sent, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		if form, err := url.ParseQuery(string(sent)); err == nil {
			o.by.addAll(form)
		}
	}
	response, err := o.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, c := range response.Cookies() {
		o.by.add("cookie", c.Value)
	}
	if to, err := url.Parse(response.Header.Get("Location")); err == nil {
		o.by.addAll(to.Query())
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		for _, name := range secretMembers {
			value, _ := object[name].(string)
			o.by.add(name, value)
		}
	}
	return response, nil
}

// kept checks, when the test has ended and its programs too, that what they printed has none of the secrets.
// Call it before they start, and set what it returns afterwards.
func (s *secrets) kept(t *testing.T) (printed *[]*cloudtest.Output) {
	printed = &[]*cloudtest.Output{}
	t.Cleanup(func() {
		for _, output := range *printed {
			for _, leak := range s.in(output.String()) {
				t.Errorf("it is printed: %s", leak)
			}
		}
	})
	return printed
}

// in are the secrets that a text has, and the tests' own.
func (s *secrets) in(text string) (leaks []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, what := range s.all {
		if slices.ContainsFunc(written(value), func(form string) bool { return strings.Contains(text, form) }) {
			leaks = append(leaks, what+" "+value)
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "canary") {
			leaks = append(leaks, line)
		}
	}
	return leaks
}

// written are the forms in which a program may write a text.
func written(text string) []string {
	return []string{text, url.QueryEscape(text), base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text))}
}

// TestSecretsAreHeard: whatever is secret in an exchange is found again, however it is written.
func TestSecretsAreHeard(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "cookie-that-is-set"})
		w.Header().Set("Location", "https://app.example/cb?code=code-of-an-app&state=state-of-an-app")
		_, _ = io.WriteString(w, `{"access_token":"access-token-x","refresh_token":"refresh-token-x","patient":"patient-0001","launch":"launch-that-is-made","scope":"scope-is-no-secret"}`)
	}))
	defer server.Close()
	heard := &secrets{}
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/?state=state-in-query&x=x-is-no-secret", strings.NewReader("client_secret=secret%2Fof+a+form&code=short&client_assertion=assertion-of-an-app&launch=launch-that-is-sent&client_id=flr_misplaced&client_id=growth-chart"))
	if err != nil {
		t.Fatal(err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("fls_swapped:growth-chart"))
	r.Header.Set("Authorization", "Basic "+basic)
	r.AddCookie(&http.Cookie{Name: "b", Value: "cookie-that-is-sent"})
	answer, err := heard.client(http.DefaultTransport).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if closed := answer.Body.Close(); err != nil || closed != nil || !strings.Contains(string(body), "scope") {
		t.Errorf("%s, %v, %v", body, err, closed)
	}
	for _, secret := range []string{
		"cookie-that-is-set", "cookie-that-is-sent", "code-of-an-app", "state-of-an-app", "state-in-query", "secret/of a form", basic, "access-token-x", "refresh-token-x", "patient-0001", "launch-that-is-made",
		"assertion-of-an-app", "launch-that-is-sent", "flr_misplaced", "fls_swapped",
	} {
		for _, form := range written(secret) {
			if found := heard.in("before" + form + "after"); len(found) == 0 {
				t.Errorf("%s as %s: %q", secret, form, found)
			}
		}
	}
	if found := heard.in("short x-is-no-secret scope-is-no-secret growth-chart"); found != nil {
		t.Errorf("%q", found)
	}
	if found := heard.in("a line\na canary in a line\n"); len(found) != 1 {
		t.Errorf("%q", found)
	}
}
