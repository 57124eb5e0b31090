package launch

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/egress"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/store"
)

// The keys of the tests' apps.
var (
	rsaKey   = newRSA(2048)
	otherRSA = newRSA(2048)
	smallRSA = newRSA(1024)
	p384     = newEC(elliptic.P384())
	p256     = newEC(elliptic.P256())
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// publicKey is the public half of a key with an id.
func publicKey(key crypto.Signer, id string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id}
}

func setOf(keys ...jose.JSONWebKey) string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// site is where apps publish their keys.
type site struct {
	mu      sync.Mutex
	answer  func(*http.Request) (*http.Response, error)
	fetched atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.fetched.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer == nil {
		return nil, errors.New("canary: nobody listens there")
	}
	return s.answer(r)
}

func (s *site) says(status int, body string, headers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for _, one := range headers {
			name, value, _ := strings.Cut(one, ": ")
			h.Add(name, value)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// assertion is a client assertion of the tests, which changes can make a bad one.
type assertion struct {
	method jwt.SigningMethod
	key    any
	header map[string]any
	claims jwt.MapClaims
}

func (r *rig) assertion(change ...func(*assertion)) string {
	a := assertion{
		method: jwt.SigningMethodRS384, key: rsaKey, header: map[string]any{"kid": "rsa"},
		claims: jwt.MapClaims{"iss": "backend", "sub": "backend", "aud": issuer + "/token", "exp": r.clock().Add(5 * time.Minute).Unix(), "jti": rand.Text()},
	}
	for _, c := range change {
		c(&a)
	}
	token := jwt.NewWithClaims(a.method, a.claims)
	maps.Copy(token.Header, a.header)
	for name, value := range a.header {
		if value == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(a.key)
	if err != nil {
		panic(err)
	}
	return text
}

func claim(name string, value any) func(*assertion) {
	return func(a *assertion) {
		if a.claims[name] = value; value == nil {
			delete(a.claims, name)
		}
	}
}

func header(name string, value any) func(*assertion) {
	return func(a *assertion) { a.header[name] = value }
}

func signed(method jwt.SigningMethod, key any, id string) func(*assertion) {
	return func(a *assertion) { a.method, a.key, a.header["kid"] = method, key, id }
}

// later is a claim at some time from now.
func (r *rig) later(name string, d time.Duration) func(*assertion) {
	return claim(name, r.clock().Add(d).Unix())
}

func backendForm(assertion string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
}

// backendRig is a rig with a backend service whose keys are registered.
func backendRig(t testing.TB) *rig {
	t.Helper()
	r := newRig()
	r.put(t, `{"tokens":"fhirlink"}`)
	r.create(t, `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs","system/Observation.cruds?category=x"],"jwks":`+setOf(publicKey(rsaKey, "rsa"), publicKey(p384, "ec"))+`}`)
	return r
}

// TestAssertions is the table of what proves an app, and what does not.
func TestAssertions(t *testing.T) {
	r := backendRig(t)
	r.links["twin"] = r.links[slug]
	twin := r.links["twin"]
	twin.Slug, twin.ID = "twin", "id-2"
	r.links["twin"] = twin
	r.putAt(t, "twin", `{"tokens":"fhirlink"}`)
	r.createAt(t, "twin", `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+setOf(publicKey(rsaKey, "rsa"))+`}`)

	publicPEM, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change []func(*assertion)
		want   string // ok, or a part of the description
	}{
		"as it should be":              {nil, "ok"},
		"ES384":                        {[]func(*assertion){signed(jwt.SigningMethodES384, p384, "ec")}, "ok"},
		"for the other token endpoint": {[]func(*assertion){claim("aud", issuer+"/oauth2/v2.0/token")}, "ok"},
		"for the issuer":               {[]func(*assertion){claim("aud", issuer)}, "ok"},
		"aud in a list":                {[]func(*assertion){claim("aud", []string{issuer + "/token"})}, "ok"},
		"without typ":                  {[]func(*assertion){header("typ", nil)}, "ok"},
		"nbf and iat now":              {[]func(*assertion){r.later("nbf", 0), r.later("iat", 0)}, "ok"},
		"a clock that is ahead":        {[]func(*assertion){r.later("nbf", 59*time.Second), r.later("iat", 59*time.Second), r.later("exp", 340*time.Second)}, "ok"},
		"just expired":                 {[]func(*assertion){r.later("exp", -59*time.Second)}, "ok"},
		"exp with a fraction":          {[]func(*assertion){claim("exp", float64(r.clock().Unix())+100.5)}, "ok"},
		"a long jti":                   {[]func(*assertion){claim("jti", strings.Repeat("j", 256))}, "ok"},

		"RS256":                       {[]func(*assertion){signed(jwt.SigningMethodRS256, rsaKey, "rsa")}, "RS384 or ES384"},
		"PS384":                       {[]func(*assertion){signed(jwt.SigningMethodPS384, rsaKey, "rsa")}, "RS384 or ES384"},
		"ES256":                       {[]func(*assertion){signed(jwt.SigningMethodES256, p256, "ec")}, "RS384 or ES384"},
		"none":                        {[]func(*assertion){signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "rsa")}, "RS384 or ES384"},
		"HS384 with the public key":   {[]func(*assertion){signed(jwt.SigningMethodHS384, publicPEM, "rsa")}, "RS384 or ES384"},
		"another's key":               {[]func(*assertion){signed(jwt.SigningMethodRS384, otherRSA, "rsa")}, "signature"},
		"RS384 with the EC key's kid": {[]func(*assertion){signed(jwt.SigningMethodRS384, rsaKey, "ec")}, "names no key"},
		"ES384 with the RSA key's":    {[]func(*assertion){signed(jwt.SigningMethodES384, p384, "rsa")}, "names no key"},
		"an unknown kid":              {[]func(*assertion){header("kid", "x")}, "names no key"},
		"no kid":                      {[]func(*assertion){header("kid", nil)}, "no kid"},
		"a key of its own":            {[]func(*assertion){signed(jwt.SigningMethodRS384, otherRSA, "x"), header("jwk", publicKey(otherRSA, "x"))}, "names no key"},
		"another typ":                 {[]func(*assertion){header("typ", "at+jwt")}, "typ"},
		"typ is no text":              {[]func(*assertion){header("typ", 1)}, "typ"},
		"crit":                        {[]func(*assertion){header("crit", []string{"b64"}), header("b64", true)}, "crit"},
		"jku":                         {[]func(*assertion){header("jku", "https://evil.example/keys")}, "jku"},
		"no iss":                      {[]func(*assertion){claim("iss", nil)}, "iss"},
		"another iss":                 {[]func(*assertion){claim("iss", issuer)}, "iss"},
		"another sub":                 {[]func(*assertion){claim("sub", "frontend")}, "not registered"},
		"no sub":                      {[]func(*assertion){claim("sub", nil)}, "no sub"},
		"no aud":                      {[]func(*assertion){claim("aud", nil)}, "aud"},
		"for somebody else":           {[]func(*assertion){claim("aud", "https://evil.example/token")}, "aud"},
		"for the twin":                {[]func(*assertion){claim("aud", publicURL+"/api/smart/twin/token")}, "aud"},
		"for the revocation endpoint": {[]func(*assertion){claim("aud", issuer+"/revoke")}, "aud"},
		"for two":                     {[]func(*assertion){claim("aud", []string{issuer + "/token", issuer})}, "aud"},
		"for nobody":                  {[]func(*assertion){claim("aud", []string{})}, "aud"},
		"aud is a number":             {[]func(*assertion){claim("aud", 1)}, "cannot be read"},
		"no exp":                      {[]func(*assertion){claim("exp", nil)}, "no exp"},
		"exp is a text":               {[]func(*assertion){claim("exp", "soon")}, "cannot be read"},
		"expired":                     {[]func(*assertion){r.later("exp", -time.Minute)}, "expired"},
		"exp long ago":                {[]func(*assertion){claim("exp", -1e300)}, "expired"},
		"exp in six minutes":          {[]func(*assertion){r.later("exp", 6*time.Minute)}, "five minutes"},
		"exp at the end of the world": {[]func(*assertion){claim("exp", 1e300)}, "five minutes"},
		"nbf ahead":                   {[]func(*assertion){r.later("nbf", 61*time.Second)}, "nbf or iat"},
		"iat ahead":                   {[]func(*assertion){r.later("iat", 61*time.Second)}, "nbf or iat"},
		"no jti":                      {[]func(*assertion){claim("jti", nil)}, "jti"},
		"a jti that is too long":      {[]func(*assertion){claim("jti", strings.Repeat("j", 257))}, "jti"},
		"jti is a number":             {[]func(*assertion){claim("jti", 7)}, "cannot be read"},
	} {
		_, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion(tt.change...)))
		if tt.want == "ok" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var told *oauth.Error
		if !errors.As(err, &told) || told.Code != oauth.InvalidClient || told.Status != 401 || !strings.Contains(told.Description, tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}

	text := r.assertion()
	for _, want := range []string{"ok", oauth.InvalidClient} {
		if _, err := r.Token(t.Context(), slug, nil, backendForm(text)); codeOf(err) != want {
			t.Errorf("presented twice: %v, want %s", err, want)
		}
	}
	if _, err := r.Token(t.Context(), "twin", nil, backendForm(text)); codeOf(err) != oauth.InvalidClient {
		t.Errorf("at another link: %v", err)
	}
	// A jti is one client's: the twin's app of the same name may have used it.
	same := claim("jti", "same")
	if _, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion(same))); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), "twin", nil, backendForm(r.assertion(same, claim("aud", publicURL+"/api/smart/twin")))); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion(same))); codeOf(err) != oauth.InvalidClient {
		t.Errorf("the same jti in another assertion: %v", err)
	}
	if strings.Contains(r.log.String(), text) || !strings.Contains(r.log.String(), "private_key_jwt") {
		t.Error(r.log.String())
	}
}

// TestAssertionForms: what surrounds an assertion must be right, too.
func TestAssertionForms(t *testing.T) {
	r := backendRig(t)
	r.create(t, `{"clientId":"public","name":"P","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	r.create(t, `{"clientId":"secret","name":"S","type":"symmetric","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	of := func(id string) string { return r.assertion(claim("iss", id), claim("sub", id)) }
	for name, tt := range map[string]struct {
		form url.Values
		want string
	}{
		"as it should be":               {backendForm(r.assertion()), "ok"},
		"with its client_id":            {with(backendForm(r.assertion()), "client_id=backend"), "ok"},
		"with another client_id":        {with(backendForm(r.assertion()), "client_id=public"), oauth.InvalidClient},
		"another type":                  {with(backendForm(r.assertion()), "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), oauth.InvalidClient},
		"no type":                       {with(backendForm(r.assertion()), "-client_assertion_type"), oauth.InvalidClient},
		"no assertion":                  {with(backendForm(""), "client_id=backend", "-client_assertion"), oauth.InvalidClient},
		"no JWT":                        {with(backendForm("x")), oauth.InvalidClient},
		"two":                           {with(backendForm(r.assertion()), "+client_assertion=x"), oauth.InvalidRequest},
		"a secret too":                  {with(backendForm(r.assertion()), "client_secret=x"), oauth.InvalidRequest},
		"no proof at all":               {with(backendForm(""), "client_id=backend", "-client_assertion", "-client_assertion_type"), oauth.InvalidClient},
		"of a public app":               {backendForm(of("public")), oauth.InvalidClient},
		"of an app with a secret":       {backendForm(of("secret")), oauth.InvalidClient},
		"of nobody":                     {backendForm(of("nobody")), oauth.InvalidClient},
		"no scope":                      {with(backendForm(r.assertion()), "-scope"), oauth.InvalidRequest},
		"user/":                         {with(backendForm(r.assertion()), "scope=user/Patient.rs"), oauth.InvalidScope},
		"user/ too":                     {with(backendForm(r.assertion()), "scope=system/Patient.rs user/Patient.rs"), oauth.InvalidScope},
		"openid":                        {with(backendForm(r.assertion()), "scope=openid system/Patient.rs"), oauth.InvalidScope},
		"malformed":                     {with(backendForm(r.assertion()), "scope=system/Patient.sr"), oauth.InvalidScope},
		"more than it may have":         {with(backendForm(r.assertion()), "scope=system/Patient.cruds"), oauth.InvalidScope},
		"a code, which it may not have": {with(backendForm(r.assertion()), "grant_type=authorization_code", "code=flc_x"), oauth.UnauthorizedClient},
		"a public app without proof":    {url.Values{"grant_type": {"client_credentials"}, "client_id": {"public"}, "scope": {"system/Patient.rs"}}, oauth.UnauthorizedClient},
	} {
		if _, err := r.Token(t.Context(), slug, nil, tt.form); codeOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestBackend: a backend service gets what it asks for and may have, for five minutes, and nothing that
// lasts.
func TestBackend(t *testing.T) {
	r := backendRig(t)
	answer := r.tokens(t, with(backendForm(r.assertion()), "scope=system/Observation.rs system/Patient.cruds system/Observation.c?category=x system/Observation.rs"))
	const scope = "system/Observation.rs system/Observation.c?category=x"
	if answer.Scope != scope || answer.ExpiresIn != 300 || answer.RefreshToken != "" || answer.IDToken != "" || answer.TokenType != "Bearer" || answer.Patient != "" {
		t.Errorf("%q %d", answer.Scope, answer.ExpiresIn)
	}
	claims := r.claimsOf(t, answer.AccessToken, "at+jwt")
	if claims["scope"] != scope || claims["scp"] != scope || claims["sub"] != "backend" || claims["client_id"] != "backend" || claims["azp"] != clientID || claims["exp"].(float64)-claims["iat"].(float64) != 300 || claims["aud"] != "https://clinic.example/fhir" {
		t.Errorf("%v", claims)
	}
	for _, absent := range []string{"gid", "patient", "fhirUser", "encounter", "roles"} {
		if _, has := claims[absent]; has {
			t.Errorf("the token of a backend service has %s", absent)
		}
	}
	revocation := with(backendForm(r.assertion()), "token="+answer.AccessToken)
	if err := r.Revoke(t.Context(), slug, nil, revocation); err != nil {
		t.Error(err)
	}
	// Microsoft's servers judge a token by one version of SMART's syntax.
	r.put(t, `{"tokens":"fhirlink","server":"fhirServer"}`)
	if _, err := r.Token(t.Context(), slug, nil, with(backendForm(r.assertion()), "scope=system/Patient.rs system/Patient.read")); codeOf(err) != oauth.InvalidScope {
		t.Error(err)
	}
	if got := r.claimsOf(t, r.tokens(t, backendForm(r.assertion())).AccessToken, "at+jwt"); len(got["roles"].([]any)) != 1 || got["fhirUser"] != nil {
		t.Errorf("%v", got)
	}
}

// TestAppWithKeySignsUsersIn: an app with a key exchanges codes and refresh tokens by assertions, too.
func TestAppWithKeySignsUsersIn(t *testing.T) {
	r := newRig()
	r.put(t, `{"tokens":"fhirlink"}`)
	r.create(t, `{"clientId":"backend","name":"Both","type":"asymmetric","redirectUris":["https://app.example/cb"],"grants":["client_credentials","authorization_code"],"scopes":["openid","offline_access","patient/*.rs","system/*.rs"],"jwks":`+setOf(publicKey(rsaKey, "rsa"))+`}`)
	request := url.Values{
		"response_type": {"code"}, "client_id": {"backend"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid offline_access patient/*.rs system/*.rs"}, "state": {"s"},
		"aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	proved := func(form url.Values) url.Values {
		return with(form, "client_assertion="+r.assertion(), "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	form := r.signIn(t, request, pat)
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidClient {
		t.Errorf("by its word: %v", err)
	}
	answer := r.tokens(t, proved(form))
	if answer.Scope != "openid offline_access patient/*.rs" {
		t.Errorf("%q", answer.Scope)
	}
	again := with(refreshForm(answer), "-client_id")
	if _, err := r.Token(t.Context(), slug, nil, again); codeOf(err) != oauth.InvalidClient {
		t.Errorf("a refresh by nobody: %v", err)
	}
	next := r.tokens(t, proved(again))
	if err := r.Revoke(t.Context(), slug, nil, proved(url.Values{"token": {next.RefreshToken}})); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, proved(with(again, "refresh_token="+next.RefreshToken))); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("after revocation: %v", err)
	}
	// What the organization takes away is gone at once.
	last := r.tokens(t, proved(r.signIn(t, request, pat)))
	if _, _, err := r.smart.ChangeApp(t.Context(), orgA, slug, "backend", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"grants":["client_credentials"]}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, proved(with(again, "refresh_token="+last.RefreshToken))); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("without the grant: %v", err)
	}
	if _, err := r.Authorize(t.Context(), slug, request); codeOf(err) != "app unauthorized_client" {
		t.Errorf("authorize without the grant: %v", err)
	}
}

// TestSpentAssertion: who has signed an assertion for a request that may be sent again is told to sign another one, because
// the first one is spent; others are not.
func TestSpentAssertion(t *testing.T) {
	r := newRig()
	r.put(t, `{"tokens":"fhirlink"}`)
	const may = `"redirectUris":["https://app.example/cb"],"scopes":["openid","offline_access","patient/*.rs"]`
	r.create(t, `{"clientId":"backend","name":"With a key","type":"asymmetric",`+may+`,"jwks":`+setOf(publicKey(rsaKey, "rsa"))+`}`)
	r.create(t, `{"clientId":"public","name":"Public","type":"public",`+may+`}`)
	for id, signs := range map[string]bool{"backend": true, "public": false} {
		proved := func(form url.Values) url.Values {
			if !signs {
				return with(form, "client_id="+id)
			}
			return with(form, "-client_id", "client_assertion="+r.assertion(), "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		}
		answer := r.tokens(t, proved(r.signIn(t, url.Values{
			"response_type": {"code"}, "client_id": {id}, "redirect_uri": {"https://app.example/cb"}, "scope": {"offline_access patient/*.rs"}, "state": {"s"},
			"aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
		}, pat)))
		refresh := func() error {
			_, err := r.Token(t.Context(), slug, nil, proved(refreshForm(answer)))
			return err
		}
		r.entra.Before = entratest.WebPage(503)
		failures := map[string]error{"Entra does not answer": refresh()}
		r.entra.Before = nil
		r.as = "wrong"
		failures["Entra refuses"] = refresh()
		r.as = linkSecret
		r.rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
		failures["the table does not answer"] = refresh()
		failures["nor at a revocation"] = r.Revoke(t.Context(), slug, nil, proved(url.Values{"token": {answer.RefreshToken}}))
		r.rows.Fault = nil
		for name, err := range failures {
			p := problem.From(err)
			if p.Code != problem.UpstreamUnavailable || p.RetryAfter == 0 || p.Cause == nil || strings.Contains(p.Detail, "client assertion") != signs {
				t.Errorf("%s, %s: %v", id, name, err)
			}
		}
	}
}

// TestPublishedKeys: keys that an app publishes count as long as it lets them, and what is wrong with them is
// said.
func TestPublishedKeys(t *testing.T) {
	const uri = "https://app.example/keys"
	newRig := func(t *testing.T) *rig {
		r := newRig()
		r.put(t, `{"tokens":"fhirlink"}`)
		r.create(t, `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwksUri":"`+uri+`"}`)
		return r
	}
	token := func(t *testing.T, r *rig, change ...func(*assertion)) error {
		_, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion(change...)))
		return err
	}
	good := setOf(publicKey(rsaKey, "rsa"))
	t.Run("what is published", func(t *testing.T) {
		for name, tt := range map[string]struct {
			status int
			body   string
			want   string // ok, or a part of the description; where the set cannot be had, of the cause in the log
			code   string
		}{
			"the key":             {200, good, "ok", ""},
			"among others":        {200, `{"keys":[{"kty":"oct","k":"AAAA","kid":"rsa"},{"kty":"strange"},7,` + good[len(`{"keys":[`):], "ok", ""},
			"another":             {200, setOf(publicKey(rsaKey, "x")), "names no key", oauth.InvalidClient},
			"two with one kid":    {200, setOf(publicKey(rsaKey, "rsa"), publicKey(otherRSA, "rsa")), "several keys", oauth.InvalidClient},
			"one kid, two kinds":  {200, setOf(publicKey(rsaKey, "rsa"), publicKey(p384, "rsa")), "ok", ""},
			"for encryption":      {200, setOf(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa", Use: "enc"}), "names no key", oauth.InvalidClient},
			"for RS256":           {200, setOf(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa", Algorithm: "RS256"}), "names no key", oauth.InvalidClient},
			"the private key":     {200, setOf(jose.JSONWebKey{Key: rsaKey, KeyID: "rsa"}), "names no key", oauth.InvalidClient},
			"a key that is small": {200, setOf(publicKey(smallRSA, "rsa")), "names no key", oauth.InvalidClient},
			"none":                {200, `{"keys":[]}`, "names no key", oauth.InvalidClient},
			"an error":            {404, good, "status 404", oauth.Unavailable},
			"a redirect":          {302, good, "status 302", oauth.Unavailable},
			"a page":              {200, "<html>canary</html>", "no JSON object", oauth.Unavailable},
			"no set":              {200, `{"key":[]}`, "no JSON object", oauth.Unavailable},
			"something huge":      {200, strings.Repeat(" ", 64<<10) + good, "larger than 64 KiB", oauth.Unavailable},
			"what is blocked":     {0, "", "may not reach", oauth.Unavailable},
			"nobody":              {-1, "", "connection_broken", oauth.Unavailable},
		} {
			r := newRig(t)
			switch tt.status {
			case 0:
				r.apps.answer = func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial: %w", egress.ErrBlocked) }
			case -1: // nobody listens
			default:
				r.apps.says(tt.status, tt.body, "Location: https://app.example/other") // without it there is nothing to follow
			}
			err := token(t, r)
			var told *oauth.Error
			if tt.want == "ok" {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if !errors.As(err, &told) || told.Code != tt.code {
				t.Errorf("%s: %v", name, err)
				continue
			}
			said := told.Description
			if told.Code == oauth.Unavailable {
				// A stranger who knows the client id learns the same whatever is at the address.
				const all = "The client assertion cannot be checked: the keys that the app publishes at its jwksUri cannot be fetched just now. Send the request again in a few seconds, with a new client assertion. The operator's log says why."
				if said != all || told.Status != 503 || told.RetryAfter != 5*time.Second {
					t.Errorf("%s: %+v", name, told)
				}
				var event struct{ Cause string }
				if err := json.Unmarshal([]byte(r.log.String()), &event); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				said = event.Cause
			}
			if !strings.Contains(said, tt.want) || strings.Contains(said, "canary") || strings.Contains(said, "://") {
				t.Errorf("%s: %s", name, said)
			}
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		r := newRig(t)
		for range 5 {
			if err := token(t, r); codeOf(err) != oauth.Unavailable || strings.Contains(err.(*oauth.Error).Description, "canary") {
				t.Error(err)
			}
		}
		if n := r.apps.fetched.Load(); n != 1 {
			t.Errorf("%d fetches of what failed a moment ago", n)
		}
		r.apps.says(200, good)
		r.pass(5 * time.Second)
		if err := token(t, r); err != nil {
			t.Error(err)
		}
	})
	t.Run("jku", func(t *testing.T) {
		r := newRig(t)
		r.apps.says(200, good)
		if err := token(t, r, header("jku", uri)); err != nil {
			t.Error(err)
		}
		if err := token(t, r, header("jku", uri+"2")); codeOf(err) != oauth.InvalidClient {
			t.Error(err)
		}
	})
	t.Run("how long", func(t *testing.T) {
		for header, life := range map[string]time.Duration{
			"":                                      5 * time.Minute,
			"Cache-Control: max-age=30":             30 * time.Second,
			"Cache-Control: public, Max-Age=\"30\"": 30 * time.Second,
			"Cache-Control: max-age=86400":          time.Hour,
			"Cache-Control: no-store, max-age=30":   time.Second,
			"Cache-Control: max-age=30, no-cache":   time.Second,
			"Cache-Control: max-age=0":              time.Second,
			"Cache-Control: max-age=-1":             time.Second,
		} {
			r := newRig(t)
			r.apps.says(200, good, header)
			if err := token(t, r); err != nil {
				t.Fatal(err)
			}
			r.apps.says(200, setOf(publicKey(otherRSA, "rsa")), header) // the key was withdrawn
			r.pass(life - time.Second/2)
			if err := token(t, r); err != nil {
				t.Errorf("%s: before its time is over: %v", header, err)
			}
			r.pass(time.Second / 2)
			if err := token(t, r); codeOf(err) != oauth.InvalidClient {
				t.Errorf("%s: after its time: %v", header, err)
			}
		}
		r := newRig(t)
		r.apps.says(200, good, "Cache-Control: max-age=60", "Age: 50")
		if err := token(t, r); err != nil {
			t.Fatal(err)
		}
		r.apps.says(500, "")
		r.pass(10 * time.Second)
		if err := token(t, r); codeOf(err) != oauth.Unavailable {
			t.Errorf("it was old when it came: %v", err)
		}
	})
	t.Run("a new key", func(t *testing.T) {
		r := newRig(t)
		r.apps.says(200, good)
		if err := token(t, r); err != nil {
			t.Fatal(err)
		}
		r.apps.says(200, setOf(publicKey(rsaKey, "rsa"), publicKey(otherRSA, "new")))
		if err := token(t, r, signed(jwt.SigningMethodRS384, otherRSA, "new")); err != nil {
			t.Errorf("it counts at once: %v", err)
		}
		for range 20 {
			if err := token(t, r, header("kid", "x")); codeOf(err) != oauth.InvalidClient {
				t.Error(err)
			}
		}
		if n := r.apps.fetched.Load(); n != 2 {
			t.Errorf("%d fetches: unknown keys make us fetch", n)
		}
		r.pass(30 * time.Second)
		if err := token(t, r, header("kid", "x")); codeOf(err) != oauth.InvalidClient || r.apps.fetched.Load() != 3 {
			t.Errorf("%v, %d fetches", err, r.apps.fetched.Load())
		}
	})
	t.Run("what cannot be right fetches nothing", func(t *testing.T) {
		r := newRig(t)
		for _, change := range []func(*assertion){claim("aud", "https://evil.example"), r.later("exp", -time.Hour), claim("jti", nil), claim("iss", "x"), header("kid", nil)} {
			if err := token(t, r, change); codeOf(err) != oauth.InvalidClient {
				t.Error(err)
			}
		}
		if n := r.apps.fetched.Load(); n != 0 {
			t.Errorf("%d fetches", n)
		}
	})
	t.Run("at once", func(t *testing.T) {
		r := newRig(t)
		r.apps.says(200, good)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := token(t, r); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := r.apps.fetched.Load(); n > 3 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestReplayRace: of several requests with one assertion exactly one counts, and none while it cannot be
// noted.
func TestReplayRace(t *testing.T) {
	r := backendRig(t)
	text := r.assertion()
	var won atomic.Int64
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := r.Token(t.Context(), slug, nil, backendForm(text)); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d requests with one assertion got a token", won.Load())
	}
	r.rows.Fault = func(op string, _ store.Key, _ bool) error {
		if op == "Swap" {
			return store.ErrUnavailable
		}
		return nil
	}
	if _, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion())); problem.CodeOf(err) != problem.UpstreamUnavailable {
		t.Errorf("%v", err)
	}
}

// FuzzAssertion: nobody but the app's own key makes an assertion that counts.
func FuzzAssertion(f *testing.F) {
	r := newRig()
	r.put(f, `{"tokens":"fhirlink"}`)
	r.create(f, `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+setOf(publicKey(p384, "ec"))+`}`)
	f.Add(r.assertion())
	f.Add(r.assertion(signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "ec")))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES384","kid":"ec"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"backend","sub":"backend"}`)) + ".")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := r.Token(t.Context(), slug, nil, backendForm(text)); err == nil {
			t.Errorf("%q counts", text)
		}
	})
}
