package webauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/secret"
)

const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	client   = "22222222-2222-4222-8222-222222222222"
	callback = "https://links.example/api/smart/clinic/callback"
	password = "canary~8Q.password+/="
	code     = "0.canary-code_+/="
	verifier = "canary-verifier-canary-verifier-canary-verifier"
	refresh  = "1.canary-refresh_+/="
	scope    = "https://fhir.example/user.read openid offline_access"
	usable   = `{"token_type":"Bearer","scope":"https://fhir.example/user.read","expires_in":3599,"ext_expires_in":3599,"access_token":"canary.access","refresh_token":"canary.refresh","id_token":"canary.id"}`
	asJSON   = "application/json; charset=utf-8"
)

var _ entra.SignIns = (*webauth.SignIns)(nil)

// endpoint is a token endpoint behind TLS that keeps what it was sent.
type endpoint struct {
	server  *httptest.Server
	signIns *webauth.SignIns
	answer  func(http.ResponseWriter, *http.Request) bool

	mu       sync.Mutex
	requests []*http.Request // their forms are parsed
}

func newEndpoint(t *testing.T, answer func(http.ResponseWriter, *http.Request) bool) *endpoint {
	e := &endpoint{answer: answer}
	e.server = httptest.NewUnstartedServer(e)
	e.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	e.server.StartTLS()
	t.Cleanup(e.server.Close)
	e.signIns = &webauth.SignIns{Client: e.server.Client()}
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // a mistake in it is seen by the test, which misses the values
	e.mu.Lock()
	e.requests = append(e.requests, r)
	e.mu.Unlock()
	if !e.answer(w, r) {
		http.NotFound(w, r)
	}
}

func (e *endpoint) credentials() entra.Credentials {
	return entra.Credentials{Authority: e.server.URL + "/", TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(password)}}
}

func (e *endpoint) redeem(ctx context.Context, c entra.Credentials) (entra.UserTokens, error) {
	return e.signIns.Redeem(ctx, c, secret.New(code), secret.New(verifier), callback)
}

func (e *endpoint) refresh(ctx context.Context, c entra.Credentials) (entra.UserTokens, error) {
	return e.signIns.Refresh(ctx, c, secret.New(refresh), scope)
}

func TestForms(t *testing.T) {
	e := newEndpoint(t, entratest.Answer(200, asJSON, usable))
	before := time.Now()
	for name, c := range map[string]struct {
		send func(context.Context, entra.Credentials) (entra.UserTokens, error)
		want url.Values
	}{
		"code": {e.redeem, url.Values{
			"grant_type": {"authorization_code"}, "client_id": {client}, "client_secret": {password},
			"code": {code}, "code_verifier": {verifier}, "redirect_uri": {callback},
		}},
		"refresh token": {e.refresh, url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "client_secret": {password}, "refresh_token": {refresh}, "scope": {scope}}},
	} {
		tokens, err := c.send(t.Context(), e.credentials())
		if err != nil || tokens.Access.Reveal() != "canary.access" || tokens.Refresh.Reveal() != "canary.refresh" || tokens.ID.Reveal() != "canary.id" || tokens.Scope != "https://fhir.example/user.read" {
			t.Fatalf("%s: %+v, %v", name, tokens, err)
		}
		if left := tokens.ExpiresOn.Sub(before); left < 3599*time.Second || left > 3630*time.Second {
			t.Errorf("%s: expires in %v", name, left)
		}
		if text := printed(tokens); strings.Contains(text, "canary") {
			t.Errorf("%s: a token is in %s", name, text)
		}
		all := e.sent()
		r := all[0]
		if len(all) != 1 || r.Method != http.MethodPost || r.URL.Path != "/"+tenant+"/oauth2/v2.0/token" || r.URL.RawQuery != "" || r.PostForm.Encode() != c.want.Encode() {
			t.Errorf("%s: %s %s %v", name, r.Method, r.URL, r.PostForm)
		}
		if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header["Origin"] != nil || r.Header["Authorization"] != nil {
			t.Errorf("%s: %v", name, r.Header)
		}
	}
}

// printed is what a value looks like in logs.
func printed(v any) string {
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Error("x", "v", v)
	}
	return fmt.Sprintf("%v %+v %#v %s %x ", v, v, v, v, v) + logged.String()
}

func TestLifetimes(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`3599`: 3599 * time.Second, `"3599"`: 3599 * time.Second, `3599.5`: 3599500 * time.Millisecond,
		`1e12`: 24 * time.Hour, `"inf"`: 24 * time.Hour, `1`: time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := inProcess(entratest.Answer(200, asJSON, strings.Replace(usable, "3599,", text+",", 1)))
			tokens, err := s.Refresh(t.Context(), credentials(), secret.New(refresh), scope)
			if got := time.Until(tokens.ExpiresOn); err != nil || got != want {
				t.Errorf("%s: %v, %v", text, got, err)
			}
		})
	}
}

// inProcess are sign-ins at an authority without a network.
func inProcess(answer func(http.ResponseWriter, *http.Request) bool) *webauth.SignIns {
	return &webauth.SignIns{Client: &http.Client{Transport: entratest.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))}}
}

func credentials() entra.Credentials {
	return entra.Credentials{Authority: "https://login.example", TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(password)}}
}

func TestNotAllTokens(t *testing.T) {
	for body, want := range map[string]entra.UserTokens{
		`{"id_token":"i"}`: {ID: secret.New("i")},
		`{"token_type":"bearer","access_token":"a","expires_in":60,"refresh_token":null,"scope":""}`: {Access: secret.New("a")},
	} {
		e := newEndpoint(t, entratest.Answer(200, asJSON, body))
		got, err := e.redeem(t.Context(), e.credentials())
		if err != nil || !got.ID.Equal(want.ID) || !got.Access.Equal(want.Access) || !got.Refresh.IsZero() || got.ExpiresOn.IsZero() == !want.Access.IsZero() {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestUnusableAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		reason string
		tries  int // of a refresh
	}{
		{"503 web page", entratest.WebPage(503), "answered 503 with a web page", 2},
		{"200 web page", entratest.WebPage(200), "answered 200 with a web page", 1},
		{"nothing", entratest.Answer(200, asJSON, ""), "answered 200 with nothing", 1},
		{"empty object", entratest.Answer(200, asJSON, "{}"), "answered 200 with JSON of another shape", 1},
		{"empty tokens", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":60,"access_token":"","id_token":""}`), "JSON of another shape", 1},
		{"token a number", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":60,"access_token":1}`), "JSON of another shape", 1},
		{"no lifetime", entratest.Answer(200, asJSON, `{"token_type":"Bearer","access_token":"x"}`), "cannot be used", 1},
		{"lifetime 0", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":0,"access_token":"x"}`), "cannot be used", 1},
		{"lifetime negative", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":"-1","access_token":"x"}`), "cannot be used", 1},
		{"lifetime no number", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":"nan","access_token":"x"}`), "cannot be used", 1},
		{"lifetime a word", entratest.Answer(200, asJSON, `{"token_type":"Bearer","expires_in":"soon","access_token":"x"}`), "JSON of another shape", 1},
		{"another type", entratest.Answer(200, asJSON, `{"token_type":"pop","expires_in":60,"access_token":"x"}`), "cannot be used", 1},
		{"cut off", entratest.Answer(200, asJSON, usable[:60]), "JSON of another shape", 1},
		{"endless", entratest.Answer(200, asJSON, `{"id_token":"i","x":"`+strings.Repeat("x", 1<<20)+`"}`), "JSON of another shape", 1},
		{"201", entratest.Answer(201, asJSON, usable), "answered 201", 1},
		{"404 of a proxy", entratest.Answer(404, "text/plain", "no"), "answered 404 with something else than JSON", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t, c.answer)
			tokens, err := e.redeem(t.Context(), e.credentials())
			if u := unreachable(t, tokens, err); !strings.Contains(u.Reason, c.reason) {
				t.Errorf("Reason = %q", u.Reason)
			}
			e.tries(t, 1)
			tokens, err = e.refresh(t.Context(), e.credentials())
			if u := unreachable(t, tokens, err); !strings.Contains(u.Reason, c.reason) {
				t.Errorf("Reason = %q", u.Reason)
			}
			e.tries(t, c.tries)
		})
	}
}

// tries asserts how many requests there were since it, or sent, was called last.
func (e *endpoint) tries(t *testing.T, want int) {
	t.Helper()
	if got := len(e.sent()); got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
}

// sent returns the requests since it was called last.
func (e *endpoint) sent() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.requests
	e.requests = nil
	return all
}

func unreachable(t *testing.T, tokens entra.UserTokens, err error) *entra.Unreachable {
	t.Helper()
	var u *entra.Unreachable
	if !errors.As(err, &u) || tokens != (entra.UserTokens{}) {
		t.Fatalf("got %+v, %v; want Unreachable", tokens, err)
	}
	silent(t, err)
	return u
}

func refusal(t *testing.T, tokens entra.UserTokens, err error) *entra.Refusal {
	t.Helper()
	var r *entra.Refusal
	if !errors.As(err, &r) || tokens != (entra.UserTokens{}) {
		t.Fatalf("got %+v, %v; want a Refusal", tokens, err)
	}
	silent(t, err)
	return r
}

// silent asserts that nothing that was sent is in the error, or in an error that it wraps.
func silent(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		if text := printed(err); strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
			t.Errorf("a secret is in %s", text)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		oauth  string
		number int
		tries  int
	}{
		{400, "invalid_grant", 54005, 1},
		{400, "invalid_grant", 50173, 1},
		{400, "interaction_required", 50076, 1},
		{401, "invalid_client", 7000222, 1},
		{429, "temporarily_unavailable", 90055, 1},
		{500, "server_error", 90099, 2},
		{503, "temporarily_unavailable", 90033, 2},
	} {
		e := newEndpoint(t, entratest.New().Refuse(c.status, c.oauth, c.number, "It is so. And more."))
		for _, send := range []struct {
			grant func(context.Context, entra.Credentials) (entra.UserTokens, error)
			tries int
		}{{e.redeem, 1}, {e.refresh, c.tries}} {
			tokens, err := send.grant(t.Context(), e.credentials())
			r := refusal(t, tokens, err)
			if r.HTTPStatus != c.status || r.OAuthError != c.oauth || r.Number != c.number || r.Sentence != "It is so." || r.TraceID == "" {
				t.Errorf("%d: %+v", c.number, *r)
			}
			e.tries(t, send.tries)
		}
	}
}

func TestThrottled(t *testing.T) {
	e := newEndpoint(t, entratest.New().Throttle(60))
	tokens, err := e.refresh(t.Context(), e.credentials())
	if r := refusal(t, tokens, err); r.RetryAfter != time.Minute || r.Class() != entra.Transient {
		t.Errorf("%+v", *r)
	}
	e.tries(t, 1)
}

// A wait that Entra asks for is not cut short by a second try.
func TestToldToWait(t *testing.T) {
	a := entratest.New()
	refuse := a.Refuse(503, "temporarily_unavailable", 90033, "Later.")
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "7")
		return refuse(w, r)
	})
	tokens, err := e.refresh(t.Context(), e.credentials())
	if r := refusal(t, tokens, err); r.RetryAfter != 7*time.Second {
		t.Errorf("%+v", *r)
	}
	e.tries(t, 1)
}

func TestRefreshRecovers(t *testing.T) {
	e := newEndpoint(t, nil)
	for name, fails := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"5xx": entratest.WebPage(502),
		"broken connection": func(http.ResponseWriter, *http.Request) bool {
			panic(http.ErrAbortHandler)
		},
	} {
		e.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if len(e.requests) == 1 { // nothing else is sent meanwhile
				return fails(w, r)
			}
			return entratest.Answer(200, asJSON, usable)(w, r)
		}
		if _, err := e.refresh(t.Context(), e.credentials()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e.tries(t, 2)
		tokens, err := e.redeem(t.Context(), e.credentials()) // a code is sent once
		unreachable(t, tokens, err)
		e.tries(t, 1)
	}
}

// An answer that repeats the request does not pass it on.
func TestEchoes(t *testing.T) {
	for _, echo := range []func(string) string{func(s string) string { return s }, url.QueryEscape} {
		e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) bool {
			var said strings.Builder
			for name, values := range r.PostForm {
				if name != "client_id" && name != "grant_type" && name != "redirect_uri" {
					fmt.Fprintf(&said, "%s='%s' ", name, echo(values[0]))
				}
			}
			return entratest.New().Refuse(400, "invalid_request", 9002313, "You sent "+said.String())(w, r)
		})
		tokens, err := e.redeem(t.Context(), e.credentials())
		if r := refusal(t, tokens, err); !strings.Contains(r.Sentence, "You sent") {
			t.Errorf("%+v", *r)
		}
		tokens, err = e.refresh(t.Context(), e.credentials())
		refusal(t, tokens, err)
		c := e.credentials()
		_, c.Credential = selfSigned(t)
		tokens, err = e.redeem(t.Context(), c)
		if r := refusal(t, tokens, err); strings.Contains(r.Sentence, "client_assertion='ey") {
			t.Errorf("%+v", *r)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		e := newEndpoint(t, nil)
		e.answer = entratest.Redirect(status, e.server.URL+"/elsewhere")
		tokens, err := e.refresh(t.Context(), e.credentials())
		if u := unreachable(t, tokens, err); !strings.Contains(u.Reason, "a redirect") {
			t.Errorf("%d: %s", status, u.Reason)
		}
		e.tries(t, 1)
	}
}

// TestHangs: the caller's context and the time for one try both end a request that is not answered.
func TestHangs(t *testing.T) {
	e := newEndpoint(t, entratest.Hang())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	tokens, err := e.refresh(ctx, e.credentials())
	if u := unreachable(t, tokens, err); u.Reason != "timed out" || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if got := len(e.sent()); got > 1 {
		t.Errorf("%d requests", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tokens, err = e.redeem(ended, e.credentials())
	if u := unreachable(t, tokens, err); u.Reason != "the request was given up" || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	e.tries(t, 0)
	synctest.Test(t, func(t *testing.T) {
		s, started := inProcess(entratest.Hang()), time.Now()
		tokens, err := s.Redeem(t.Context(), credentials(), secret.New(code), secret.New(verifier), callback)
		if u := unreachable(t, tokens, err); u.Reason != "timed out" || time.Since(started) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
		started = time.Now()
		tokens, err = s.Refresh(t.Context(), credentials(), secret.New(refresh), scope)
		if u := unreachable(t, tokens, err); u.Reason != "timed out" || time.Since(started) != 10*time.Second+200*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

// What cannot be sent, or only where it does not belong, is not sent.
func TestNotSent(t *testing.T) {
	e := newEndpoint(t, entratest.Answer(200, asJSON, usable))
	for name, c := range map[string]struct {
		change func(*entra.Credentials)
		code   string
		reason string
	}{
		"plain http":    {func(c *entra.Credentials) { c.Authority = strings.Replace(c.Authority, "https:", "http:", 1) }, "", "not an https URL"},
		"no authority":  {func(c *entra.Credentials) { c.Authority = "" }, "", "not an https URL"},
		"no URL":        {func(c *entra.Credentials) { c.Authority = "https://a b/" }, "", "not an https URL"},
		"tenant a name": {func(c *entra.Credentials) { c.TenantID = "common" }, "aadsts_900023", ""},
		"tenant a path": {func(c *entra.Credentials) { c.TenantID = "../x" }, "aadsts_900023", ""},
		"no secret":     {func(c *entra.Credentials) { c.Credential = credential.ClientSecret{} }, "aadsts_7000218", ""},
		"no credential": {func(c *entra.Credentials) { c.Credential = nil }, "aadsts_7000218", ""},
		"broken certificate": {func(c *entra.Credentials) {
			c.Credential = credential.Certificate{PEM: secret.New("-----BEGIN canary")}
		}, "", "certificate cannot be read"},
		"certificate not RSA's": {func(c *entra.Credentials) { c.Credential = ofEd25519(t) }, "", "certificate cannot be read"},
	} {
		credentials := e.credentials()
		c.change(&credentials)
		tokens, err := e.redeem(t.Context(), credentials)
		if c.code != "" {
			if r := refusal(t, tokens, err); r.Code() != c.code {
				t.Errorf("%s: %+v", name, *r)
			}
		} else if u := unreachable(t, tokens, err); !strings.Contains(u.Reason, c.reason) {
			t.Errorf("%s: %s", name, u.Reason)
		}
	}
	e.tries(t, 0)
}

// TestCertificate checks the assertion as
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials describes it.
func TestCertificate(t *testing.T) {
	registered, c := selfSigned(t)
	e := newEndpoint(t, entratest.Answer(200, asJSON, usable))
	credentials := e.credentials()
	credentials.Credential = c
	seen := map[string]bool{}
	for range 2 {
		if _, err := e.redeem(t.Context(), credentials); err != nil {
			t.Fatal(err)
		}
		form := e.sent()[0].PostForm
		if form.Has("client_secret") || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("%v", form)
		}
		var claims jwt.RegisteredClaims
		token, err := jwt.NewParser(
			jwt.WithValidMethods([]string{"PS256"}), jwt.WithIssuer(client), jwt.WithSubject(client), jwt.WithExpirationRequired(),
			jwt.WithAudience(e.server.URL+"/"+tenant+"/oauth2/v2.0/token"),
		).ParseWithClaims(form.Get("client_assertion"), &claims, func(*jwt.Token) (any, error) { return registered.PublicKey, nil })
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(registered.Raw)
		if token.Header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || token.Header["typ"] != "JWT" || token.Header["x5c"] != nil {
			t.Errorf("%v", token.Header)
		}
		if life := claims.ExpiresAt.Sub(claims.NotBefore.Time); life != 6*time.Minute || time.Until(claims.ExpiresAt.Time) > 5*time.Minute {
			t.Errorf("lives %v", life)
		}
		if claims.ID == "" || seen[claims.ID] {
			t.Errorf("jti %q", claims.ID)
		}
		seen[claims.ID] = true
	}
}

// selfSigned returns a certificate and the credential with it.
func selfSigned(t *testing.T) (*x509.Certificate, credential.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, key)
}

// ofEd25519 is a credential of a kind that Entra does not take.
func ofEd25519(t *testing.T) credential.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, c := certify(t, key)
	return c
}

func certify(t *testing.T, key crypto.Signer) (*x509.Certificate, credential.Certificate) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return c, credential.Certificate{PEM: secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))}
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, usable)
	f.Add(200, `{"id_token":"x","expires_in":"1e400"}`)
	f.Add(400, `{"error":"invalid_grant","error_codes":["54005"]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 499 {
			return // those are tried again after a while
		}
		tokens, err := inProcess(entratest.Answer(status, asJSON, body)).Refresh(t.Context(), credentials(), secret.New(refresh), scope)
		var (
			refused     *entra.Refusal
			unreachable *entra.Unreachable
		)
		switch {
		case err == nil:
			if status != 200 || !json.Valid([]byte(body)) || tokens.Access.IsZero() && tokens.ID.IsZero() || tokens.ExpiresOn.After(time.Now().Add(24*time.Hour)) {
				t.Errorf("%d %q gave %+v", status, body, tokens)
			}
		case !errors.As(err, &refused) && !errors.As(err, &unreachable):
			t.Errorf("%T", err)
		}
	})
}
