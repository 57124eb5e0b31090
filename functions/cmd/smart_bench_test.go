package cmd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/link"
	"fhirlink/shared/link/application"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/keyvault"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/smartauth/launch"
	"fhirlink/shared/store"
)

const (
	benchURL       = "https://links.example.org"
	benchVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	benchChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	entraSlug  = "entra-clinic" // a link whose apps get Entra's own tokens
	userApp    = "66666666-6666-4666-8666-666666666661"
	backendApp = "66666666-6666-4666-8666-666666666662"
	appSecret  = "canary~secret/of+an=app"
)

// countingSigner counts signatures.
type countingSigner struct {
	*signer.Signer
	s *service
}

func (c countingSigner) Sign(ctx context.Context, typ string, claims any) (string, error) {
	c.s.signed.Add(1)
	return c.Signer.Sign(ctx, typ, claims)
}

// timed counts how long requests take.
type timed struct {
	http.RoundTripper
	s *service
}

func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	defer func() { t.s.inEntra.Add(int64(time.Since(began))) }()
	return t.RoundTripper.RoundTrip(r)
}

// serveApps assembles SMART authorization over rows in memory.
func (s *service) serveApps(links *link.Service, tokens *tokens.Service, source entra.TokenSource, secrets *keyvault.Store, client *http.Client, log *slog.Logger) {
	client = &http.Client{Transport: timed{client.Transport, s}}
	key := signer.New(signertest.New(), s.now, log)
	s.smart = smartauth.New(smartauth.Deps{Rows: s.rows, Links: smartauth.LinksOf(links, s.stores.Get), Keys: key, PublicURL: benchURL, Now: s.now, Registrations: application.Registrations{Rows: link.AppRows{Service: links}, Now: s.now}})
	sealer := &seal.Sealer{Keys: seal.NewKeys("contoso/fhirlink-seal", secrets, s.now, log), PublicURL: benchURL, Now: s.now}
	s.ehr = ehr.New(ehr.Deps{Servers: s.smart, Rows: s.rows, Sealer: sealer, Now: s.now})
	s.launch = launch.New(launch.Deps{
		Servers: s.smart, Clients: tokens, SignIns: &webauth.SignIns{Client: client}, Tokens: source, IDTokens: entra.NewApplications(client, s.now), Signer: countingSigner{key, s}, Rows: s.rows,
		Sealer:    sealer,
		Authorize: func(l link.Link) string { return entra.AuthorizeURL(s.entra.URL+"/", l.TenantID) }, Log: log, Now: s.now,
	})
}

// newApp makes the link an authorization server with one app. It returns a request that the app may make.
func (s *service) newApp(b *testing.B) url.Values {
	b.Helper()
	if _, _, err := s.smart.PutSettings(b.Context(), tenant, slug, smartauth.Precondition{IfNoneMatch: "*"}, smartauth.NewSettings{Tokens: "fhirlink"}); err != nil {
		b.Fatal(err)
	}
	var in smartauth.NewApp
	if err := json.Unmarshal([]byte(`{"clientId":"growth-chart","name":"Growth Chart","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","fhirUser","launch/patient","offline_access","patient/*.rs"]}`), &in); err != nil {
		b.Fatal(err)
	}
	if _, _, _, err := s.smart.CreateApp(b.Context(), tenant, slug, in); err != nil {
		b.Fatal(err)
	}
	return url.Values{
		"response_type": {"code"}, "client_id": {"growth-chart"}, "redirect_uri": {"https://app.example/cb"}, "state": {"state"}, "aud": {server}, "code_challenge": {benchChallenge}, "code_challenge_method": {"S256"},
		"scope": {"openid fhirUser launch/patient offline_access patient/Patient.r patient/Observation.rs?category=laboratory patient/Condition.rs"},
	}
}

// BenchmarkSMART compares discovery with health and authorize with a warm token, in turns, and counts what
// each step of a launch asks of others.
func BenchmarkSMART(b *testing.B) {
	s := newService(b, cloudtest.Secret)
	request := s.newApp(b)
	ours := httptest.NewServer(s.handler)
	defer ours.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	issuer := ours.URL + smartauth.Base + slug
	authorize := issuer + smartauth.AuthorizePath + "?" + request.Encode()
	get := func(url string, status int) func() error {
		return func() error {
			response, err := client.Get(url)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != status {
				b.Errorf("%s: %d", url, response.StatusCode)
			}
			_, err = io.Copy(io.Discard, response.Body)
			return err
		}
	}
	token := func() error { return once(b.Context(), client, ours.URL, s.caller) }
	var discovery, starts []float64
	rate := func(send func() error) float64 {
		turn := driveWith(b, send)
		return turn.rate()
	}
	for range 21 {
		discovery = append(discovery, rate(get(issuer+"/.well-known/smart-configuration", http.StatusOK))/rate(get(ours.URL+"/api/health", http.StatusOK)))
		starts = append(starts, rate(get(authorize, http.StatusSeeOther))/rate(token))
	}
	table.report(median(discovery) >= 0.8, "SMART, discovery: requests per second against health", "≥ 0.8 ×", "%.2f × (median of 21 turns)", median(discovery))
	table.report(median(starts) >= 0.5, "SMART, authorize: requests per second against a warm token", "≥ 0.5 ×", "%.2f × (median of 21 turns)", median(starts))
	s.countLaunch(b, request)
	s.compareAssertions(b)
	s.countEntra(b, request)
	s.trimCost(b)
}

// counting returns what runs a step and reports what that asks of others, until done.
func (s *service) counting(b *testing.B) (count func(what, bound string, wantReads, wantWrites, wantCalls, wantSignatures int, do func()), done func()) {
	b.Helper()
	var reads, writes int
	s.rows.Fault = func(op string, _ store.Key, before bool) error {
		switch {
		case !before:
		case op == "Row", op == "List":
			reads++
		default:
			writes++
		}
		return nil
	}
	count = func(what, bound string, wantReads, wantWrites, wantCalls, wantSignatures int, do func()) {
		reads, writes = 0, 0
		calls, signatures := s.entra.Tokens.Load(), s.signed.Load()
		do()
		gotCalls, gotSignatures := int(s.entra.Tokens.Load()-calls), int(s.signed.Load()-signatures)
		table.report(reads <= wantReads && writes <= wantWrites && gotCalls <= wantCalls && gotSignatures <= wantSignatures, "SMART, "+what+": what it asks of others", bound,
			"%d of Entra, %d reads, %d writes, %d signatures", gotCalls, reads, writes, gotSignatures)
	}
	return count, func() { s.rows.Fault = nil }
}

// countLaunch counts what the steps of a launch ask of Entra, the database and the key, and how long the
// callback takes besides Entra.
func (s *service) countLaunch(b *testing.B, request url.Values) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	count, done := s.counting(b)
	defer done()
	var own []float64
	for i := range 30 { // the first ones are not warm
		var (
			begun    launch.Begun
			answered launch.Answered
			answer   launch.TokenAnswer
			err      error
		)
		authorize := func() { begun, err = s.launch.Authorize(b.Context(), slug, request); must(err) }
		var query url.Values
		callback := func() {
			answered, err = s.launch.Callback(b.Context(), slug, query, func(string) string { return begun.Cookie.Value })
			must(err)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {benchVerifier}}
		exchange := func() { answer, err = s.launch.Token(b.Context(), slug, nil, form); must(err) }
		refresh := func() {
			_, err = s.launch.Token(b.Context(), slug, nil, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {answer.RefreshToken}})
			must(err)
		}
		last := i == 29
		step := func(what, bound string, r, w, c, sig int, do func()) {
			if last {
				count(what, bound, r, w, c, sig, do)
			} else {
				do()
			}
		}
		step("authorize", "1 write", 0, 1, 0, 0, authorize)
		query = s.entraAnswers(b, begun)
		before := s.inEntra.Load()
		began := time.Now()
		step("callback", "1 of Entra, 1 read, 2 writes", 1, 2, 1, 0, callback)
		own = append(own, float64(time.Since(began)-time.Duration(s.inEntra.Load()-before))/float64(time.Millisecond))
		location, err := url.Parse(answered.Location)
		must(err)
		form.Set("code", location.Query().Get("code"))
		step("token by code", "1 read, 3 writes, 2 signatures", 1, 3, 0, 2, exchange)
		step("token by refresh", "1 of Entra, 1 read, 1 write, 1 signature", 1, 1, 1, 1, refresh)
	}
	made, err := s.ehr.Create(b.Context(), tenant, slug, ehr.NewLaunch{User: "a0a0a0a0-0000-4000-8000-000000000005", Patient: "p-1"})
	must(err)
	request.Set("launch", made.Launch)
	var begun launch.Begun
	count("authorize from an EHR", "1 read, 1 write", 1, 1, 0, 0, func() { begun, err = s.launch.Authorize(b.Context(), slug, request); must(err) })
	query := s.entraAnswers(b, begun)
	count("callback from an EHR", "1 of Entra, 2 reads, 3 writes", 2, 3, 1, 0, func() {
		_, err = s.launch.Callback(b.Context(), slug, query, func(string) string { return begun.Cookie.Value })
		must(err)
	})
	request.Del("launch")
	table.report(median(own) <= 1, "SMART, callback: our own share", "≤ 1 ms", "%.2f ms (median of %d)", median(own), len(own))
}

// compareAssertions counts what a backend service's token asks of others, and compares checking an assertion
// with checking its bare signature, in turns.
func (s *service) compareAssertions(b *testing.B) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	forRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	forEC, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	private := []jose.JSONWebKey{{Key: forRSA, KeyID: "RS384", Algorithm: string(jose.RS384)}, {Key: forEC, KeyID: "ES384", Algorithm: string(jose.ES384)}}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private[0].Public(), private[1].Public()}})
	must(err)
	var in smartauth.NewApp
	must(json.Unmarshal([]byte(`{"clientId":"night-job","name":"Night job","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+string(set)+`}`), &in))
	_, _, _, err = s.smart.CreateApp(b.Context(), tenant, slug, in)
	must(err)
	server, err := s.smart.Server(b.Context(), slug)
	must(err)
	for _, key := range private {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, nil)
		must(err)
		const each, turns = 50, 11
		assertions := make([]string, 0, each*turns+1)
		for range cap(assertions) {
			claims, err := json.Marshal(map[string]any{"iss": "night-job", "sub": "night-job", "aud": s.smart.Issuer(slug), "jti": rand.Text(), "exp": s.now().Add(4 * time.Minute).Unix()})
			must(err)
			signed, err := signer.Sign(claims)
			must(err)
			text, err := signed.CompactSerialize()
			must(err)
			assertions = append(assertions, text)
		}
		form := func(assertion string) url.Values {
			return url.Values{
				"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}
		}
		count, done := s.counting(b)
		count("backend service by "+key.Algorithm, "1 write, 1 signature", 0, 1, 0, 1, func() {
			_, err := s.launch.Token(b.Context(), slug, nil, form(assertions[each*turns]))
			must(err)
		})
		done()
		authenticator := client.Authenticator{Rows: s.rows, Issuer: s.smart.Issuer, Now: s.now}
		var ratios []float64
		for turn := range turns {
			batch := assertions[turn*each : (turn+1)*each]
			began := time.Now()
			for _, text := range batch {
				credentials, err := client.Read(nil, form(text))
				must(err)
				_, err = authenticator.App(b.Context(), server, credentials)
				must(err)
			}
			whole := time.Since(began)
			var bare time.Duration
			for _, text := range batch {
				signed, err := jose.ParseSignedCompact(text, jwks.Algorithms)
				must(err)
				began := time.Now()
				_, err = signed.Verify(key.Public().Key)
				bare += time.Since(began)
				must(err)
			}
			ratios = append(ratios, float64(whole)/float64(bare))
		}
		table.report(median(ratios) <= 3, "SMART, client assertion by "+key.Algorithm+": its check against that of the bare signature", "≤ 3 ×", "%.2f × (median of %d turns)", median(ratios), turns)
	}
}

// countEntra counts what the steps of a launch and a backend service's token ask of others where apps get Entra's
// own tokens.
func (s *service) countEntra(b *testing.B, request url.Values) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	s.link(b, entraSlug)
	_, _, err := s.smart.PutSettings(b.Context(), tenant, entraSlug, smartauth.Precondition{IfNoneMatch: "*"}, smartauth.NewSettings{Tokens: "entra"})
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	private := jose.JSONWebKey{Key: key, KeyID: "ES384", Algorithm: string(jose.ES384)}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	must(err)
	for _, app := range []string{
		`{"clientId":"growth-chart","name":"Growth Chart","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","fhirUser","launch/patient","offline_access","patient/*.rs"],"entra":{"clientId":"` + userApp + `","clientSecret":"` + appSecret + `"}}`,
		`{"clientId":"night-job","name":"Night job","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":` + string(set) + `,"entra":{"clientId":"` + backendApp + `","clientSecret":"` + appSecret + `"}}`,
	} {
		var in smartauth.NewApp
		must(json.Unmarshal([]byte(app), &in))
		_, _, _, err = s.smart.CreateApp(b.Context(), tenant, entraSlug, in)
		must(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: private}, nil)
	must(err)
	claims, err := json.Marshal(map[string]any{"iss": "night-job", "sub": "night-job", "aud": s.smart.Issuer(entraSlug), "jti": rand.Text(), "exp": s.now().Add(4 * time.Minute).Unix()})
	must(err)
	signed, err := signer.Sign(claims)
	must(err)
	assertion, err := signed.CompactSerialize()
	must(err)
	_, err = s.smart.Server(b.Context(), entraSlug) // from now on it is remembered
	must(err)
	count, done := s.counting(b)
	defer done()
	var begun launch.Begun
	count("authorize with Entra's tokens", "1 write", 0, 1, 0, 0, func() { begun, err = s.launch.Authorize(b.Context(), entraSlug, request); must(err) })
	query := s.entraAnswers(b, begun)
	var answered launch.Answered
	count("callback with Entra's tokens", "1 of Entra, 1 read, 2 writes", 1, 2, 1, 0, func() {
		answered, err = s.launch.Callback(b.Context(), entraSlug, query, func(string) string { return begun.Cookie.Value })
		must(err)
	})
	location, err := url.Parse(answered.Location)
	must(err)
	var answer launch.TokenAnswer
	token := func(form url.Values) func() {
		return func() { answer, err = s.launch.Token(b.Context(), entraSlug, nil, form); must(err) }
	}
	count("token by code with Entra's tokens", "1 read, 3 writes, 1 signature", 1, 3, 0, 1, token(url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {benchVerifier}, "code": {location.Query().Get("code")},
	}))
	count("token by refresh with Entra's tokens", "1 of Entra, 1 read, 1 write", 1, 1, 1, 0, token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {answer.RefreshToken}}))
	count("backend service with Entra's tokens", "1 of Entra, 1 write", 0, 1, 1, 0, token(url.Values{
		"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}))
}

// entraAnswers is the query of Entra's answer to a request.
func (s *service) entraAnswers(b *testing.B, begun launch.Begun) url.Values {
	b.Helper()
	u, err := url.Parse(begun.URL)
	if err != nil {
		b.Fatal(err)
	}
	q := u.Query()
	scopes, mistake := s.entra.ReadScopes(tenant, q.Get("client_id"), q.Get("scope"))
	if mistake != nil {
		b.Fatal(mistake)
	}
	return url.Values{"state": {q.Get("state")}, "code": {s.entra.Code(entratest.SignIn{
		Tenant: tenant, ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), Platform: entratest.Web, Scopes: scopes,
		Nonce: q.Get("nonce"), Challenge: q.Get("code_challenge"), Method: q.Get("code_challenge_method"),
		User: entratest.Account{ObjectID: "a0a0a0a0-0000-4000-8000-000000000005", Name: "Pat", Claims: map[string]any{"fhirUser": "Patient/p-1"}},
	})}}
}

// trimCost counts the requests that remove what has ended.
func (s *service) trimCost(b *testing.B) {
	b.Helper()
	s.skew.Store(int64(100 * 24 * time.Hour))
	defer s.skew.Store(0)
	ended, requests := s.rows.Len(), 0
	s.rows.Fault = func(_ string, _ store.Key, before bool) error {
		if before {
			requests++
		}
		return nil
	}
	defer func() { s.rows.Fault = nil }()
	removed, err := handle.Trimmer{Rows: s.rows, Now: s.now}.Trim(b.Context())
	if err != nil || removed == 0 {
		b.Fatal(removed, err)
	}
	most := ended/50 + 2*16 + 1 // of one link on one day
	table.report(requests <= most, "SMART, sweep of what has ended: requests", "≤ n/50 + 2 × shards + 1 per link and day", "%d for %d rows (at most %d)", requests, removed, most)
}
