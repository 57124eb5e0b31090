package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/functions"
	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/link"
	"fhirlink/shared/link/application"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/notify/webhook/webhooktest"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/launch"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
	"fhirlink/shared/verification"
)

// The organizations of the tests, and the registration of the API.
const (
	orgA     = "11111111-1111-4111-8111-111111111111" // the tenant that guards the FHIR servers
	orgB     = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	operator = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
	audience = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
)

// The credentials of the link's application in Entra.
const (
	authority     = "https://login.sandbox.test/"
	clientID      = "22222222-2222-4222-8222-222222222222"
	clientSecret  = "canary~secret/of+the=link&x%"
	expiredSecret = "canary~expired/secret+of=the&link%"

	// The application that an app has in Entra.
	chartID     = "44444444-4444-4444-8444-444444444444"
	chartSecret = "canary~secret/of+the=chart&x%"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// rig is the whole API over stores in memory, with an authority and FHIR servers in the process.
type rig struct {
	public, behindHost http.Handler
	deps               functions.Deps
	stores             *linktest.Stores
	rows               *rowtest.Rows   // of SMART authorization
	key                *signertest.Key // that signs its tokens
	secrets            *secrettest.Store
	entra              *entratest.Authority
	servers            *fhirtest.Server
	log                *lockedBuffer
	tokens             map[string]string // by caller, because signing is slow
}

// newRig makes a rig. change can alter the API's dependencies.
func newRig(t testing.TB, change ...func(*functions.Deps)) *rig {
	t.Helper()
	r := &rig{stores: linktest.New(), rows: rowtest.New(), key: signertest.New(), secrets: secrettest.New(), log: &lockedBuffer{}, tokens: map[string]string{}}
	r.entra = entratest.Sandbox(entratest.Registration{
		URL: authority, TenantID: orgA, ClientID: clientID, Secret: clientSecret, ExpiredSecret: expiredSecret, Zone: "sandbox.test",
		Others: []entratest.App{{ClientID: chartID, ObjectID: "55555555-5555-4555-8555-5555555555a1", Secrets: []entratest.Secret{{Value: chartSecret}}}},
	})
	r.servers = &fhirtest.Server{Domain: "fhir.sandbox.test", Authority: authority, TenantID: orgA, Validate: r.entra.Check}
	log := eventlog.New(r.log, slog.LevelDebug)
	verifier := &verification.Verifier{
		Client: &http.Client{Transport: entratest.InProcess(r)}, Tokens: r.entra.Source(), Kind: r.servers.Kind,
		Authority: func(fhir.BaseURL) string { return authority },
	}
	links := link.New(link.Deps{
		Stores: r.stores, Secrets: r.secrets, Tokens: r.entra.Source(), Log: log,
		Authority: func(fhir.BaseURL) string { return authority },
		Verifier:  verifier,
	})
	key := signer.New(r.key, nil, log)
	smart := smartauth.New(smartauth.Deps{
		Rows: r.rows, Links: smartauth.LinksOf(links, r.stores.Get), Keys: key, PublicURL: publicURL, Now: time.Now,
		Registrations: application.Registrations{Rows: link.AppRows{Service: links}},
	})
	links.OnWrite(func(slug link.Slug) { smart.Forget(string(slug)) })
	links.KeepsApps(smart)
	tokens := tokens.New(tokens.Deps{
		Links: links, Rows: r.stores, Secrets: r.secrets, Source: r.entra.Source(), Log: log,
		Authority: func(fhir.BaseURL) string { return authority },
	})
	sealer := &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", r.secrets, nil, log), PublicURL: publicURL}
	r.deps = functions.Deps{
		Links: links, Servers: discovery.Service{Verifier: verifier},
		Tokens: tokens, SMART: smart,
		Launch: launch.New(launch.Deps{
			Servers: smart, Clients: tokens, SignIns: &webauth.SignIns{Client: r.entra.Client()}, Tokens: r.entra.Source(), IDTokens: entra.NewApplications(r.entra.Client(), nil), Signer: key, Rows: r.rows, Log: log, Now: time.Now,
			Sealer:    sealer,
			Authorize: func(l link.Link) string { return entra.AuthorizeURL(browserEntra+"/", l.TenantID) },
		}),
		EHR: ehr.New(ehr.Deps{Servers: smart, Rows: r.rows, Sealer: sealer, Now: time.Now}),
		Webhooks: webhook.New(webhook.Deps{
			Endpoints: webhooktest.New(), Secrets: r.secrets, Client: &http.Client{Transport: entratest.InProcess(r)}, Log: log,
		}),
		Callers: caller.Bearer{Tokens: entra.NewAccessTokens(entra.AccessTokensConfig{
			Authority: authority, Audiences: []string{audience}, Tenants: []string{orgA, orgB}, OperatorTenant: operator, Client: r.entra.Client(),
		})},
		Sweep: expiry.Sweep{Links: links, Log: log},
		Log:   log, Program: "local", Version: "test",
	}
	for _, c := range change {
		c(&r.deps)
	}
	r.public, r.behindHost = functions.New(r.deps), functions.NewBehindHost(r.deps)
	return r
}

// Where browsers reach the API, and Entra.
const (
	publicURL    = "https://links.example.org"
	browserEntra = "https://sign-in.sandbox.test"
)

// ServeHTTP serves the outside world: the authority, and a FHIR server for every other host.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Host == "login.sandbox.test" {
		r.entra.ServeHTTP(w, req)
		return
	}
	r.servers.ServeHTTP(w, req)
}

// claims are claims of a token in addition to those of an application.
type claims map[string]any

// The callers of the tests.
func app(organization string, roles ...string) claims {
	return claims{"tid": organization, "aud": audience, "roles": roles}
}

func user(organization, scopes string, roles ...string) claims {
	return claims{"tid": organization, "aud": audience, "scp": scopes, "roles": roles}
}

func manager(organization string) claims { return app(organization, "Links.Manage.All") }

func broker(organization string) claims { return app(organization, "Links.Token.All") }

func opener(organization string) claims { return app(organization, "Links.Launch.All") }

// request is a request of a test.
type request struct {
	caller      claims // nil: no Authorization header
	method      string
	target      string // path and query
	contentType string // empty: jsonType when there is a body
	body        string
	header      http.Header
}

// answer is an answer of the API.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request to the public API and checks the answer against openapi.yaml.
func (r *rig) send(t *testing.T, q request) answer {
	t.Helper()
	sent := r.request(t, q)
	a := ask(r.public, sent)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/") && a.body != "" && !appPage(q.target) {
		t.Errorf("%s %s: Content-Type %q", q.method, q.target, a.header.Get("Content-Type"))
	}
	if strings.HasPrefix(q.target, "/api/token") && replaced.MatchString(a.body+a.header.Get("WWW-Authenticate")) {
		t.Errorf("%s %s: a text has characters that RFC 6749 §5.2 does not allow: %s", q.method, q.target, a.body)
	}
	checkDocumented(t, r.request(t, q), a)
	return a
}

// appPage reports whether a path answers users of apps with pages.
func appPage(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return strings.HasPrefix(path, "/api/smart/") && (strings.HasSuffix(path, "/authorize") || strings.HasSuffix(path, "/callback"))
}

// replaced matches the substitutes for characters that error_description must not have.
var replaced = regexp.MustCompile(`%[0-9A-F]{2}|\?`)

// token returns an access token of the caller. The same claims always give the same token.
func (r *rig) token(c claims) string {
	key := fmt.Sprint(map[string]any(c))
	if r.tokens[key] == "" {
		r.tokens[key] = r.entra.Mint(c)
	}
	return r.tokens[key]
}

func (r *rig) request(t *testing.T, q request) *http.Request {
	t.Helper()
	sent := httptest.NewRequestWithContext(t.Context(), q.method, q.target, strings.NewReader(q.body))
	if q.header != nil {
		sent.Header = q.header.Clone()
	}
	if q.caller != nil {
		sent.Header.Set("Authorization", "Bearer "+r.token(q.caller))
	}
	switch {
	case q.contentType != "":
		sent.Header.Set("Content-Type", q.contentType)
	case q.body != "":
		sent.Header.Set("Content-Type", jsonType)
	}
	return sent
}

// byHost makes the request look as if the Functions host itself had sent it.
func byHost(r *http.Request) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}))
	r.Host = "127.0.0.1:8080"
	return r
}

func ask(h http.Handler, sent *http.Request) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, sent)
	response := w.Result()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err) // the body is in memory
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// field returns one member of a JSON object.
func (a answer) field(t *testing.T, name string) any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return body[name]
}

// want checks the status and the error code; "" means no error.
func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d %s: %s", a.status, status, code, a.body)
	}
	if code == "" {
		return
	}
	got := a.field(t, "code")
	if got == nil {
		got = a.field(t, "error")
	}
	if got != code {
		t.Fatalf("%d %v, want %s: %s", a.status, got, code, a.body)
	}
}

// inDays returns the date n days from today.
func inDays(n int) string { return date.Of(time.Now()).AddDays(n).String() }

// registration returns the body of a register request for a sandbox scenario.
func registration(slug, scenario, secret string) string {
	body, err := json.Marshal(map[string]any{
		"slug": slug, "description": "Clinic " + slug, "fhirServerUrl": "https://" + scenario + ".fhir.sandbox.test/metadata",
		"clientId": clientID, "clientSecret": secret, "secretExpiresOn": inDays(300), "listed": true,
	})
	if err != nil {
		panic(err) // strings always encode
	}
	return string(body)
}

// register makes a link and returns its entity tag.
func (r *rig) register(t *testing.T, organization, slug string) (etag string) {
	t.Helper()
	a := r.send(t, request{caller: manager(organization), method: "POST", target: "/api/register", body: registration(slug, "clinic", clientSecret)})
	a.want(t, http.StatusCreated, "")
	return a.header.Get("ETag")
}

// lockedBuffer is a log that several goroutines can write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Short names for what the tests read from the stores.
type (
	linkSlug = link.Slug
	linkRow  = link.Link
	smartKey = store.Key
)

var errDown = store.ErrUnavailable
