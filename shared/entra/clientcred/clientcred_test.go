package clientcred_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/secret"
)

const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	client   = "22222222-2222-4222-8222-222222222222"
	object   = "55555555-5555-4555-8555-555555555555"
	audience = "https://ws-clinic.fhir.azurehealthcareapis.com"
	scope    = audience + "/.default"
	good     = "canary~8Q.good-secret+/="
	old      = "canary~8Q.old-secret+/="
)

// fixture is the fake authority behind TLS, and the driver with the real azidentity.
type fixture struct {
	*entratest.Authority
	server *httptest.Server
	source *clientcred.Source
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	a := entratest.New(entratest.Tenant{
		ID: tenant, Name: "Contoso",
		Knows: func(resource string) bool { return resource == audience },
		Apps: []entratest.App{{
			ClientID: client, ObjectID: object,
			Secrets: []entratest.Secret{{Value: good}, {Value: old, ExpiresOn: time.Now().Add(-time.Hour)}},
		}, {
			ClientID: object, Disabled: true, Secrets: []entratest.Secret{{Value: good}},
		}},
	})
	server := httptest.NewUnstartedServer(a)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return &fixture{a, server, &clientcred.Source{Client: server.Client()}}
}

func (f *fixture) credentials() entra.Credentials {
	return entra.Credentials{Authority: f.server.URL + "/", TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(good)}}
}

// requests asserts the number of requests to the authority.
func (f *fixture) requests(t *testing.T, discoveries, tokens int64) {
	t.Helper()
	if d, k := f.Discoveries.Load(), f.Tokens.Load(); d != discoveries || k != tokens {
		t.Errorf("%d openid-configuration and %d token requests, want %d and %d", d, k, discoveries, tokens)
	}
}

func TestToken(t *testing.T) {
	f := newFixture(t)
	before := time.Now()
	token, err := f.source.Token(t.Context(), f.credentials(), scope)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := f.Check(token.Access.Reveal())
	if err != nil || claims.Audience[0] != audience || claims.TenantID != tenant || claims.AppID != client || claims.ObjectID != object {
		t.Errorf("claims %+v (%v)", claims, err)
	}
	if left := token.ExpiresOn.Sub(before); left < 3599*time.Second || left > 3630*time.Second {
		t.Errorf("expires in %v", left)
	}
	f.requests(t, 1, 1)
	again, err := f.source.Token(t.Context(), f.credentials(), scope)
	if err != nil || again.Access.Equal(token.Access) {
		t.Errorf("the second call made no new request (%v)", err)
	}
	f.requests(t, 1, 2)
}

func TestRefusals(t *testing.T) {
	stranger := "12121212-1212-4212-8212-121212121212"
	for _, c := range []struct {
		name                string
		change              func(*entra.Credentials)
		scope               string
		status              int
		oauth               string
		number              int
		discoveries, tokens int64
	}{
		{"another secret", func(c *entra.Credentials) { c.Credential = credential.ClientSecret{Value: secret.New("canary-wrong")} }, scope, 401, "invalid_client", 7000215, 1, 1},
		{"expired secret", func(c *entra.Credentials) { c.Credential = credential.ClientSecret{Value: secret.New(old)} }, scope, 401, "invalid_client", 7000222, 1, 1},
		{"unknown application", func(c *entra.Credentials) { c.ClientID = stranger }, scope, 400, "unauthorized_client", 700016, 1, 1},
		{"disabled application", func(c *entra.Credentials) { c.ClientID = object }, scope, 401, "unauthorized_client", 7000112, 1, 1},
		{"unknown tenant", func(c *entra.Credentials) { c.TenantID = stranger }, scope, 400, "invalid_tenant", 90002, 1, 0},
		{"unknown resource", nil, "https://other.example/.default", 400, "invalid_resource", 500011, 1, 1},
		{"scope without default", nil, audience, 400, "invalid_scope", 1002012, 1, 1},
		{"tenant is a name", func(c *entra.Credentials) { c.TenantID = "common" }, scope, 400, "invalid_request", 900023, 0, 0},
		{"tenant is a path", func(c *entra.Credentials) { c.TenantID = ".." }, scope, 400, "invalid_request", 900023, 0, 0},
		{"tenant is missing", func(c *entra.Credentials) { c.TenantID = "" }, scope, 400, "invalid_request", 900023, 0, 0},
		{"secret is missing", func(c *entra.Credentials) { c.Credential = nil }, scope, 401, "invalid_client", 7000218, 0, 0},
		{"client id is missing", func(c *entra.Credentials) { c.ClientID = "" }, scope, 400, "invalid_request", 900144, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			credentials := f.credentials()
			if c.change != nil {
				c.change(&credentials)
			}
			token, err := f.source.Token(t.Context(), credentials, c.scope)
			r := refusal(t, token, err)
			if r.HTTPStatus != c.status || r.OAuthError != c.oauth || r.Number != c.number || r.Sentence == "" {
				t.Errorf("got %+v", *r)
			}
			if c.discoveries > 0 && (r.TraceID == "" || r.CorrelationID == "") {
				t.Errorf("no ids: %+v", *r)
			}
			f.requests(t, c.discoveries, c.tokens)
		})
	}
}

// Refusals have the shape of Entra's, whatever their number.
func TestAnyRefusalPasses(t *testing.T) {
	for _, c := range []struct {
		status int
		oauth  string
		number int
		tokens int64 // 429 and 5xx are tried twice
	}{
		{401, "invalid_client", 7000229, 1},
		{400, "invalid_grant", 53003, 1},
		{400, "invalid_grant", 501051, 1},
		{400, "invalid_request", 70021, 1},
		{401, "invalid_client", 700024, 1},
		{400, "invalid_grant", 7654321, 1},
		{400, "interaction_required", 50076, 1},
		{429, "temporarily_unavailable", 90055, 2},
		{503, "temporarily_unavailable", 90033, 2},
		{500, "server_error", 90099, 2},
	} {
		f := newFixture(t)
		f.Before = f.Refuse(c.status, c.oauth, c.number, "It is so. And more.")
		token, err := f.source.Token(t.Context(), f.credentials(), scope)
		r := refusal(t, token, err)
		if r.HTTPStatus != c.status || r.OAuthError != c.oauth || r.Number != c.number || r.Sentence != "It is so." {
			t.Errorf("%d: got %+v", c.number, *r)
		}
		f.requests(t, 1, c.tokens)
	}
}

func refusal(t *testing.T, token entra.Token, err error) *entra.Refusal {
	t.Helper()
	var r *entra.Refusal
	if !errors.As(err, &r) || token != (entra.Token{}) {
		t.Fatalf("got %+v, %v; want a Refusal", token, err)
	}
	silent(t, err)
	return r
}

func unreachable(t *testing.T, token entra.Token, err error) *entra.Unreachable {
	t.Helper()
	var u *entra.Unreachable
	if !errors.As(err, &u) || token != (entra.Token{}) {
		t.Fatalf("got %+v, %v; want Unreachable", token, err)
	}
	silent(t, err)
	return u
}

// silent asserts that no error in err's chain quotes the secret.
func silent(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		text := fmt.Sprintf("%v %+v %#v", err, err, err)
		for _, s := range []string{"canary", url.QueryEscape(good)} {
			if strings.Contains(text, s) {
				t.Errorf("the secret is in %s", text)
			}
		}
	}
}

// A refusal that quotes the request does not pass on the secret.
func TestEchoedSecret(t *testing.T) {
	f := newFixture(t)
	f.Before = f.Refuse(400, "invalid_request", 9002313, "You sent client_secret="+url.QueryEscape(good)+" and '"+good+"'")
	token, err := f.source.Token(t.Context(), f.credentials(), scope)
	if r := refusal(t, token, err); !strings.Contains(r.Sentence, "You sent") {
		t.Errorf("got %+v", *r)
	}
}

func TestThrottled(t *testing.T) {
	for seconds, tokens := range map[int]int64{0: 2, 1: 2, 60: 1} { // a long wait is left to the caller
		f := newFixture(t)
		f.Before = f.Throttle(seconds)
		started := time.Now()
		token, err := f.source.Token(t.Context(), f.credentials(), scope)
		r := refusal(t, token, err)
		if r.Class() != entra.Transient || r.RetryAfter != time.Duration(seconds)*time.Second {
			t.Errorf("Retry-After %d: got %+v", seconds, *r)
		}
		if took := time.Since(started); took > 30*time.Second {
			t.Errorf("Retry-After %d: took %v", seconds, took)
		}
		f.requests(t, 1, tokens)
	}
}

func TestRecovers(t *testing.T) {
	f := newFixture(t)
	busy := entratest.WebPage(http.StatusServiceUnavailable)
	f.Before = func(w http.ResponseWriter, r *http.Request) bool { return f.Tokens.Load() == 1 && busy(w, r) }
	if _, err := f.source.Token(t.Context(), f.credentials(), scope); err != nil {
		t.Error(err)
	}
	f.requests(t, 1, 2)
}

func TestUnusableAnswers(t *testing.T) {
	const form = "application/json"
	for _, c := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		reason string
		tokens int64
	}{
		{"503 web page", entratest.WebPage(503), "answered 503 with a web page", 2},
		{"200 web page of a captive portal", entratest.WebPage(200), "answered 200 with a web page", 1},
		{"empty answer", entratest.Answer(200, form, ""), "answered 200 with nothing", 1},
		{"empty object", entratest.Answer(200, form, "{}"), "answered 200 with JSON of another shape", 1},
		{"empty token", entratest.Answer(200, form, `{"token_type":"Bearer","expires_in":3599,"access_token":""}`), "JSON of another shape", 1},
		{"no lifetime", entratest.Answer(200, form, `{"token_type":"Bearer","access_token":"x"}`), "answered", 1},
		{"lifetime 0", entratest.Answer(200, form, `{"token_type":"Bearer","expires_in":0,"access_token":"x"}`), "cannot be used", 1},
		{"lifetime negative", entratest.Answer(200, form, `{"token_type":"Bearer","expires_in":-1,"access_token":"x"}`), "cannot be used", 1},
		{"lifetime a word", entratest.Answer(200, form, `{"token_type":"Bearer","expires_in":"soon","access_token":"x"}`), "JSON of another shape", 1},
		{"another token type", entratest.Answer(200, form, `{"token_type":"pop","expires_in":3599,"access_token":"x"}`), "cannot be used", 1},
		{"truncated", entratest.Answer(200, form, `{"token_type":"Bearer","expires_in":3599,"acc`), "JSON of another shape", 1},
		{"endless", entratest.Answer(200, form, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`), "JSON of another shape", 1},
		{"404 without OAuth", entratest.Answer(404, form, `{"message":"no"}`), "answered 404 with JSON of another shape", 1},
		{"403 of a proxy", entratest.Answer(403, "text/plain", `blocked`), "answered 403 with something else than JSON", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.Before = c.before
			token, err := f.source.Token(t.Context(), f.credentials(), scope)
			if u := unreachable(t, token, err); !strings.Contains(u.Reason, c.reason) {
				t.Errorf("Reason = %q, want %q", u.Reason, c.reason)
			}
			f.requests(t, 1, c.tokens)
		})
	}
}

// Version 1 of the endpoint sends numbers as strings.
func TestNumbersAsStrings(t *testing.T) {
	f := newFixture(t)
	f.Before = entratest.Answer(200, "application/json", `{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","access_token":"a.b.c"}`)
	token, err := f.source.Token(t.Context(), f.credentials(), scope)
	if err != nil || token.Access.Reveal() != "a.b.c" || time.Until(token.ExpiresOn) < 3500*time.Second {
		t.Errorf("got %v, %v", token.ExpiresOn, err)
	}
}

func TestLifetimeIsBounded(t *testing.T) {
	f := newFixture(t)
	for _, seconds := range []string{"100000", "1000000000000", "9000000000000000000"} {
		f.Before = entratest.Answer(200, "application/json", `{"token_type":"bearer","expires_in":`+seconds+`,"access_token":"a.b.c"}`)
		token, err := f.source.Token(t.Context(), f.credentials(), scope)
		if left := time.Until(token.ExpiresOn); err == nil && left > 24*time.Hour {
			t.Errorf("expires_in %s: %v left", seconds, left)
		}
	}
}

// A redirect must not send the secret to another host or path.
func TestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var mu sync.Mutex
		var seen []string
		elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			mu.Lock()
			seen = append(seen, fmt.Sprint(r.Method, r.URL, string(body), err))
			mu.Unlock()
		}))
		f := newFixture(t)
		followed := f.server.Client()
		followed.CheckRedirect = nil // the driver must refuse redirects by itself
		f.source.Client = followed
		for _, to := range []string{elsewhere.URL + "/token", f.server.URL + "/" + tenant + "/oauth2/v2.0/token"} {
			f.Tokens.Store(0)
			f.Discoveries.Store(0)
			f.Before = entratest.Redirect(status, to)
			token, err := f.source.Token(t.Context(), f.credentials(), scope)
			if u := unreachable(t, token, err); !strings.Contains(u.Reason, fmt.Sprintf("answered %d, a redirect", status)) {
				t.Errorf("%d: %s", status, u.Reason)
			}
			f.requests(t, 1, 1)
		}
		elsewhere.Close()
		if len(seen) != 0 {
			t.Errorf("%d: the other server saw %q", status, seen)
		}
	}
}

// The token endpoint is on the authority's host, whatever openid-configuration says.
func TestForeignTokenEndpoint(t *testing.T) {
	f, foreign := newFixture(t), newFixture(t)
	f.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		base := f.server.URL + "/" + tenant
		fmt.Fprintf(w, `{"token_endpoint":"%s/%s/oauth2/v2.0/token","authorization_endpoint":"%s/authorize","issuer":"%s/v2.0"}`,
			foreign.server.URL, tenant, base, base)
		return true
	}
	token, err := f.source.Token(t.Context(), f.credentials(), scope)
	if u := unreachable(t, token, err); !strings.Contains(u.Reason, "another host") {
		t.Errorf("Reason = %q", u.Reason)
	}
	foreign.requests(t, 0, 0)
	f.requests(t, 1, 0)
}

func TestContextEnds(t *testing.T) {
	f := newFixture(t)
	f.Before = entratest.Hang()
	started := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	token, err := f.source.Token(ctx, f.credentials(), scope)
	u := unreachable(t, token, err)
	if u.Reason != "timed out" || !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	token, err = f.source.Token(ended, f.credentials(), scope)
	if u := unreachable(t, token, err); u.Reason != "the request was given up" || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + listener.Addr().String() + "/"
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	plain := httptest.NewServer(f.Authority)
	defer plain.Close()
	noDNS := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "login.invalid", IsNotFound: true}
	}}}
	for _, c := range []struct {
		name, authority string
		client          *http.Client
		reason          string
	}{
		{"refused", closed, f.server.Client(), "the connection was refused"},
		{"no such name", "https://login.invalid/", noDNS, "name not found"},
		{"untrusted certificate", f.server.URL + "/", &http.Client{}, "its certificate is not trusted"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), f.server.Client(), "it does not speak TLS"},
		{"plain http", plain.URL, f.server.Client(), "not an https URL"},
		{"no URL", "https://a b/", f.server.Client(), "not an https URL"},
		{"no authority", "", f.server.Client(), "not an https URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			credentials := f.credentials()
			credentials.Authority = c.authority
			source := clientcred.Source{Client: c.client}
			token, err := source.Token(t.Context(), credentials, scope)
			if u := unreachable(t, token, err); !strings.Contains(u.Reason, c.reason) {
				t.Errorf("Reason = %q (%v), want %q", u.Reason, u.Cause, c.reason)
			}
		})
	}
	f.requests(t, 0, 0)
}
