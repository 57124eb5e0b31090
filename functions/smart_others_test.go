package functions_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/functions"
	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/link"
	"fhirlink/shared/secret"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/launch"
)

// others reports whether .ci/smart-clients has installed what the tests with servers of others need: make
// test needs Go and make only.
func others(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SMART_CLIENTS") == "" {
		t.Log("nothing to do: .ci/smart-clients installs the servers, and sets SMART_CLIENTS")
		return false
	}
	return true
}

// startOther runs a server of .ci/smart until the test ends, and returns where it is.
func startOther(t *testing.T, program string, settings map[string]any) (at *url.URL) {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", program)
	cmd.Dir = os.Getenv("SMART_CLIENTS")
	cmd.Env = append(os.Environ(), "SMART_SETTINGS="+string(text))
	errs := &lockedBuffer{}
	cmd.Stderr = errs
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stdin.Close(); err != nil { // it ends with its input
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", program, err, errs)
		}
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, errs)
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimSpace(port)}
}

// movedClock is a clock that a test moves.
type movedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movedClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *movedClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestOthersResourceServer: a resource server made with express and jose goes on accepting our access
// tokens when our signing key is rotated, although it reads the published keys only once a day: a version is
// published 25 hours before it signs. `make smart-clients-test` runs it.
func TestOthersResourceServer(t *testing.T) {
	if !others(t) {
		return
	}
	clock := &movedClock{now: time.Now()}
	key := &signertest.Key{}
	key.Add("old", clock.now.Add(-30*24*time.Hour))
	r, person := launching(t, func(d *functions.Deps) {
		signing := signer.New(key, clock.time, d.Log)
		of := d.SMART.Deps
		of.Keys, of.Now = signing, clock.time
		d.SMART = smartauth.New(of)
		to := d.Launch.Deps
		to.Servers, to.Signer, to.Now = d.SMART, signing, clock.time
		d.Launch = launch.New(to)
	})
	var fetched atomic.Int32
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fetched.Add(1)
		r.public.ServeHTTP(w, q)
	}))
	defer published.Close()
	server := func() *url.URL { // its keys stay as it reads them first
		return startOther(t, "resource-server.mjs", map[string]any{
			"issuer": publicURL + issuer, "jwksUri": published.URL + issuer + "/jwks", "audience": "https://clinic.fhir.sandbox.test", "keys": map[string]any{"cacheMaxAge": "never", "cooldownDuration": "never"},
		})
	}
	early, late := server(), server()

	first := tokensOf(t, r, person)
	mayRead(t, early, clock, first.Access, http.StatusOK, "")
	mayRead(t, early, clock, first.ID, http.StatusUnauthorized, "ERR_JWT_CLAIM_VALIDATION_FAILED") // typ is JWT
	mayRead(t, early, clock, first.Access[:len(first.Access)-8]+"AAAAAAAA", http.StatusUnauthorized, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED")

	key.Add("new", clock.time())
	clock.pass(90 * time.Minute) // it is noticed hourly
	mayRead(t, early, clock, first.Access, http.StatusUnauthorized, "ERR_JWT_EXPIRED")
	second := tokensOf(t, r, person)
	mayRead(t, early, clock, second.Access, http.StatusOK, "")
	mayRead(t, late, clock, second.Access, http.StatusOK, "")

	clock.pass(23 * time.Hour) // still too new to sign
	mayRead(t, early, clock, tokensOf(t, r, person).Access, http.StatusOK, "")

	clock.pass(time.Hour)
	third := tokensOf(t, r, person)
	if a, b := kidOf(t, second.Access), kidOf(t, third.Access); a == b {
		t.Fatal("the new version of the key does not sign")
	}
	mayRead(t, late, clock, third.Access, http.StatusOK, "")
	mayRead(t, late, clock, third.ID, http.StatusUnauthorized, "ERR_JWT_CLAIM_VALIDATION_FAILED")
	// Who never reads the keys again is the proof that it was the new one: the other server knows it not.
	mayRead(t, early, clock, third.Access, http.StatusUnauthorized, "ERR_JWKS_NO_MATCHING_KEY")
	if n := fetched.Load(); n != 2 {
		t.Errorf("the two servers read the keys %d times", n)
	}
}

// issued are tokens of a launch.
type issued struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Patient string `json:"patient"`
	Scope   string `json:"scope"`
}

// tokensOf launches the public app anew.
func tokensOf(t *testing.T, r *rig, person *browser.Person) issued {
	t.Helper()
	back := standalone(t, person, "pat", appRequest())
	location, err := url.Parse(back.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return r.exchanged(t, location.Query().Get("code"))
}

// exchanged exchanges a code of the public app.
func (r *rig) exchanged(t *testing.T, code string) issued {
	t.Helper()
	return readIssued(t, r.appToken(t, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {appVerifier}}, nil))
}

func readIssued(t *testing.T, a answer) (tokens issued) {
	t.Helper()
	a.want(t, http.StatusOK, "")
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil {
		t.Fatal(err)
	}
	return tokens
}

// mayRead presents a token to the resource server, at the time of the clock.
func mayRead(t *testing.T, server *url.URL, clock *movedClock, token string, status int, reason string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.JoinPath("Patient/p-1").String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Test-Now", clock.time().UTC().Format(time.RFC3339Nano))
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var body struct {
		ID    string
		Issue []struct{ Diagnostics string }
	}
	if err := json.NewDecoder(a.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != status || (status == http.StatusOK) != (body.ID == "p-1") || status != http.StatusOK && !strings.HasPrefix(body.Issue[0].Diagnostics, reason+":") {
		t.Errorf("%d %+v, want %d %s", a.StatusCode, body, status, reason)
	}
}

// kidOf is the name of the key that has signed a token.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Header.KeyID
}

// TestOthersEntra signs a user in at oidc-provider, which is stricter than Entra, with what we send to Entra:
// as an application with a secret, and as one with a certificate. `make smart-clients-test` runs it.
func TestOthersEntra(t *testing.T) {
	if !others(t) {
		return
	}
	t.Run("secret", func(t *testing.T) { testOthersEntra(t, newWeb(t), nil, nil) })
	t.Run("certificate", func(t *testing.T) {
		w := newWeb(t)
		pair := w.server.TLS.Certificates[0] // any will do
		key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		testOthersEntra(t, w, &pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	})
}

// certified are clients whose credential is another one: a certificate.
type certified struct {
	launch.Clients
	credential credential.Certificate
}

func (c certified) As(ctx context.Context, l link.Link, do func(context.Context, entra.Credentials) error) error {
	return c.Clients.As(ctx, l, func(ctx context.Context, as entra.Credentials) error {
		as.Credential = c.credential
		return do(ctx, as)
	})
}

// testOthersEntra is TestOthersEntra for an application with a certificate and its key, or with the link's
// secret if there are none.
func testOthersEntra(t *testing.T, web *web, certificate, key *pem.Block) {
	t.Helper()
	settings := map[string]any{
		"authority": authority, "tenant": orgA, "clientId": clientID, "redirectUri": publicURL + issuer + "/callback",
		"user": map[string]any{"oid": "a0a0a0a0-0000-4000-8000-000000000005", "fhirUser": "Patient/p-1", "name": "Pat", "preferred_username": "pat@example.org"},
	}
	if certificate == nil {
		settings["clientSecret"] = clientSecret
	} else {
		settings["clientCertificate"] = string(pem.EncodeToMemory(certificate))
	}
	op := startOther(t, "strict-entra.mjs", settings)
	web.hosts["login.sandbox.test"] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(op)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	r, _ := launching(t, func(d *functions.Deps) {
		to := d.Launch.Deps
		to.SignIns, to.IDTokens = &webauth.SignIns{Client: web.client()}, entra.NewApplications(web.client(), nil)
		to.Authorize = func(l link.Link) string { return entra.AuthorizeURL(authority, l.TenantID) }
		if certificate != nil {
			text := append(pem.EncodeToMemory(certificate), pem.EncodeToMemory(key)...)
			to.Clients = certified{to.Clients, credential.Certificate{PEM: secret.New(string(text))}}
		}
		d.Launch = launch.New(to)
	})
	web.hosts["links.example.org"] = r.public
	// The app sees the address that the browser ends at.
	var seen url.Values
	web.hosts["app.example"] = http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { seen = q.URL.Query() })

	launchOnce := func(browser *http.Client, change ...string) url.Values {
		t.Helper()
		q := appRequest()
		for _, c := range change {
			name, value, _ := strings.Cut(c, "=")
			q.Set(name, value)
		}
		seen = nil
		a, err := browser.Get(publicURL + issuer + "/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if body, err := io.ReadAll(a.Body); err != nil || seen == nil {
			t.Fatalf("the browser ends at %s with %s: %s %v", a.Request.URL.Host, a.Status, body, err)
		}
		if seen.Get("state") != "a b&c=d" {
			t.Errorf("state is %q", seen.Get("state"))
		}
		return seen
	}
	refresh := func(token string) answer {
		t.Helper()
		return r.appToken(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, nil)
	}

	person := web.browser(t)
	tokens := r.exchanged(t, launchOnce(person, "prompt=consent").Get("code"))
	if tokens.Patient != "p-1" || tokens.Scope != appRequest().Get("scope") || tokens.Refresh == "" || tokens.ID == "" {
		t.Errorf("patient %q, scope %q", tokens.Patient, tokens.Scope)
	}
	// Each refresh spends a token of the provider, which takes none twice.
	for range 3 {
		next := readIssued(t, refresh(tokens.Refresh))
		if next.Patient != "p-1" || next.Refresh == tokens.Refresh || next.Access == tokens.Access {
			t.Errorf("patient %q", next.Patient)
		}
		tokens = next
	}
	// An app whose answer was lost asks again, and gets the same successor, which goes on.
	next := readIssued(t, refresh(tokens.Refresh))
	if repeated := readIssued(t, refresh(tokens.Refresh)); repeated.Refresh != next.Refresh {
		t.Error("a repeated refresh has another successor")
	}
	tokens = readIssued(t, refresh(next.Refresh))
	// Who is signed in there needs no page. Without consent there is no refresh token, and the app is told.
	if got := r.exchanged(t, launchOnce(person, "prompt=none").Get("code")); got.Refresh != "" || strings.Contains(got.Scope, "offline_access") || got.Patient != "p-1" {
		t.Errorf("scope %q", got.Scope)
	}
	// Who is not is told as OpenID Connect says.
	if got := launchOnce(web.browser(t), "prompt=none"); got.Get("error") != "login_required" || got.Has("code") {
		t.Errorf("%q", got.Get("error"))
	}
	if got := launchOnce(web.browser(t), "prompt=login"); got.Get("code") == "" {
		t.Errorf("%q", got.Get("error"))
	}
	// A user who takes the consent back there has taken it from the app.
	a, err := http.Post(op.JoinPath("withdraw").String(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Body.Close(); err != nil || a.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %v", a.Status, err)
	}
	refresh(tokens.Refresh).want(t, http.StatusBadRequest, "invalid_grant")
}

// web is an internet of hosts in this process, each with TLS.
type web struct {
	server *httptest.Server
	hosts  map[string]http.Handler
}

func newWeb(t *testing.T) *web {
	t.Helper()
	w := &web{hosts: map[string]http.Handler{}}
	w.server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		if h := w.hosts[q.Host]; h != nil {
			h.ServeHTTP(rw, q)
			return
		}
		t.Errorf("a request to %s", q.Host)
		rw.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(w.server.Close)
	return w
}

// client reaches the hosts, whatever their names are.
func (w *web) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(w.server.Certificate())
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.server.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}, // the certificate's
	}}
}

// browser is a client that keeps cookies.
func (w *web) browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := w.client()
	client.Jar = jar
	return client
}
