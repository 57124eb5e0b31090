package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/tenantkeys"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/store/rowtest"
)

const (
	orgA       = "11111111-1111-4111-8111-111111111111"
	slug       = "clinic"
	publicURL  = "https://links.example.org"
	issuer     = publicURL + "/api/smart/" + slug
	clientID   = "22222222-2222-4222-8222-222222222222"
	linkSecret = "canary-of-the-link"
	challenge  = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	verifier   = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	authority  = "https://login.sandbox.test/"
)

// rig is the launches of a deployment over rows in memory, with a sandbox Entra.
type rig struct {
	*Service
	smart   *smartauth.Service
	ehr     *ehr.Service
	rows    *rowtest.Rows
	entra   *entratest.Authority
	key     *signertest.Key
	sealing *secrettest.Store
	log     *lockedBuffer
	apps    *site // where apps publish their keys

	mu      sync.Mutex
	now     time.Time
	links   map[string]link.Link
	as      string // the client secret of the links
	asChart string // that of the app's own application
	calls   int    // as the application of a link
	lost    bool   // the rows of apps' registrations are
}

func newRig() *rig {
	r := &rig{
		rows: rowtest.New(), key: signertest.New(), sealing: secrettest.New(), log: &lockedBuffer{}, apps: &site{}, now: time.Now().Truncate(time.Second), as: linkSecret, asChart: chartSecret,
		entra: entratest.Sandbox(entratest.Registration{URL: authority, TenantID: orgA, ClientID: clientID, Secret: linkSecret, ExpiredSecret: "expired", Zone: "sandbox.test", Others: []entratest.App{
			{ClientID: chartID, ObjectID: "55555555-5555-4555-8555-5555555555a1", Secrets: []entratest.Secret{{Value: chartSecret}, {Value: chartExpired, ExpiresOn: time.Now().Add(-time.Hour)}}, Roles: []string{"system~Observation.rs", "system~Patient.cruds", "Something.Else"}},
		}}),
		links: map[string]link.Link{},
	}
	r.links[slug] = link.Link{Slug: slug, ID: "id-1", Organization: orgA, Phase: link.Live, FHIRServerURL: "https://clinic.example/fhir", Audience: "api://clinic", ClientID: clientID, TenantID: orgA}
	r.entra.Now = r.clock
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	key := signer.New(r.key, r.clock, log)
	keys := tenantkeys.New(r.entra.Client(), r.clock)
	r.smart = smartauth.New(smartauth.Deps{Rows: r.rows, Links: r, Keys: key, PublicURL: publicURL, Now: r.clock, Registrations: registrations{r}, TenantKeys: func(ctx context.Context, l link.Link, resource string) []jose.JSONWebKey {
		return keys.Of(ctx, authority, l.TenantID, resource)
	}})
	r.Service = New(Deps{
		Servers: r.smart, Clients: r, SignIns: &webauth.SignIns{Client: r.entra.Client()}, Tokens: r.entra.Source(), IDTokens: entra.NewApplications(r.entra.Client(), r.clock), Signer: key, Rows: r.rows, Log: log, Now: r.clock,
		AppKeys:   jwks.NewPublished(&http.Client{Transport: r.apps}, r.clock),
		Sealer:    &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", r.sealing, r.clock, log), PublicURL: publicURL, Now: r.clock},
		Authorize: func(l link.Link) string { return entra.AuthorizeURL("https://login.example/", l.TenantID) },
	})
	r.ehr = ehr.New(ehr.Deps{Servers: r.smart, Rows: r.rows, Sealer: r.Sealer, Now: r.clock})
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// lose loses the rows of apps' registrations, or brings them back, and lets the time go by in which others are known.
func (r *rig) lose(lost bool) {
	r.mu.Lock()
	r.lost = lost
	r.mu.Unlock()
	r.pass(31 * time.Second)
}

// Get implements [smartauth.Links].
func (r *rig) Get(_ context.Context, organization, slug string) (link.Link, error) {
	if l, ok := r.links[slug]; ok && l.Organization == organization {
		return l, nil
	}
	return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
}

// The application that an app of the tests has in Entra.
const (
	chartID      = "44444444-4444-4444-8444-444444444444"
	chartSecret  = "canary-of-the-chart"
	chartExpired = "canary-of-last-year"
)

// registrations are those of apps, whose rows are there unless the rig has lost them. The real ones have their tests in
// package application.
type registrations struct{ *rig }

// Get implements [smartauth.Registrations].
func (r registrations) Get(_ context.Context, of link.Link, app, clientID string) (link.Link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	l := of
	l.Slug, l.Of, l.App, l.ClientID = "app.x", of.Slug, app, clientID
	return l, nil
}

// Put implements [smartauth.Registrations].
func (r registrations) Put(ctx context.Context, of link.Link, app string, in intake.Application) (link.Result, error) {
	l, err := r.Get(ctx, of, app, in.ClientID)
	return link.Result{Link: l}, err
}

// Date implements [smartauth.Registrations].
func (r registrations) Date(ctx context.Context, of link.Link, app, clientID, _ string) (link.Result, error) {
	l, err := r.Get(ctx, of, app, clientID)
	return link.Result{Link: l}, err
}

// Delete implements [smartauth.Registrations].
func (registrations) Delete(context.Context, link.Link) error { return nil }

// Tend implements [smartauth.Registrations].
func (registrations) Tend(_ context.Context, l, _ link.Link, _ bool) (link.Link, string, error) {
	return l, "", nil
}

// Free implements [smartauth.Registrations].
func (registrations) Free(context.Context, string, string) error { return nil }

// Live implements [smartauth.Links].
func (r *rig) Live(ctx context.Context, slug string) (link.Link, error) {
	return r.Get(ctx, orgA, slug)
}

// KeepSlug implements [smartauth.Links].
func (r *rig) KeepSlug(context.Context, string, string) error { return nil }

// As implements [Clients].
func (r *rig) As(ctx context.Context, l link.Link, do func(context.Context, entra.Credentials) error) error {
	r.mu.Lock()
	r.calls++
	as := r.as
	if l.ClientID == chartID {
		as = r.asChart
	}
	r.mu.Unlock()
	return do(ctx, entra.Credentials{Authority: authority, TenantID: l.TenantID, ClientID: l.ClientID, Credential: credential.ClientSecret{Value: secret.New(as)}})
}

func read[T any](t testing.TB, text string) (in T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func (r *rig) put(t testing.TB, settings string) {
	t.Helper()
	r.putAt(t, slug, settings)
}

func (r *rig) putAt(t testing.TB, slug, settings string) {
	t.Helper()
	p := smartauth.Precondition{IfNoneMatch: "*"}
	if _, err := r.smart.Settings(t.Context(), orgA, slug); err == nil {
		p = smartauth.Precondition{IfMatch: "*"}
	}
	if _, _, err := r.smart.PutSettings(t.Context(), orgA, slug, p, read[smartauth.NewSettings](t, settings)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) create(t testing.TB, app string) secret.Value {
	t.Helper()
	return r.createAt(t, slug, app)
}

func (r *rig) createAt(t testing.TB, slug, app string) secret.Value {
	t.Helper()
	_, made, _, err := r.smart.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, app))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// The users of the tests.
var (
	pat    = entratest.Account{ObjectID: "a0a0a0a0-0000-4000-8000-000000000005", Name: "canary-name Pat", Username: "canary-pat@example.org", Email: "canary-pat@mail.example", Claims: map[string]any{"fhirUser": "Patient/canary-p1"}}
	ada    = entratest.Account{ObjectID: "a0a0a0a0-0000-4000-8000-000000000001", Name: "Ada", Username: "ada@example.org", Claims: map[string]any{"fhirUser": "Practitioner/canary-1"}}
	nobody = entratest.Account{ObjectID: "a0a0a0a0-0000-4000-8000-000000000002", Name: "Nobody", Username: "nobody@example.org"}
)

// patientApp is a rig with one app, and a request that the app may make.
func patientApp(t testing.TB) (*rig, url.Values) {
	t.Helper()
	r := newRig()
	r.put(t, `{"tokens":"fhirlink"}`)
	r.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","fhirUser","profile","email","launch/patient","offline_access","online_access","patient/*.rs","user/*.cruds"]}`)
	return r, url.Values{
		"response_type": {"code"}, "client_id": {"one"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid fhirUser launch/patient offline_access patient/Observation.rs?category=x patient/*.read"}, "state": {"canary-state"},
		"aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}, "nonce": {"canary-nonce"},
	}
}

// entraAnswers is the query of Entra's answer to a request: a code for a user.
func (r *rig) entraAnswers(t testing.TB, begun Begun, user entratest.Account, change ...func(*entratest.SignIn)) url.Values {
	t.Helper()
	u, err := url.Parse(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	s := entratest.SignIn{
		Tenant: orgA, ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), Platform: entratest.Web, Scopes: entratest.Scopes{OIDC: strings.Fields(q.Get("scope")), Resource: entratest.Graph},
		Nonce: q.Get("nonce"), Challenge: q.Get("code_challenge"), Method: q.Get("code_challenge_method"), User: user,
	}
	if scopes, mistake := r.entra.ReadScopes(orgA, s.ClientID, q.Get("scope")); mistake == nil {
		s.Scopes = scopes
	} else {
		t.Fatalf("Entra refuses: %+v", mistake)
	}
	for _, c := range change {
		c(&s)
	}
	return url.Values{"code": {r.entra.Code(s)}, "state": {q.Get("state")}, "session_state": {"x"}}
}

// callback brings Entra's answer, from the browser that began.
func (r *rig) callback(ctx context.Context, begun Begun, query url.Values) (Answered, error) {
	return r.Callback(ctx, slug, query, func(name string) string {
		if name == begun.Cookie.Name {
			return begun.Cookie.Value
		}
		return ""
	})
}

// signIn is a sign-in that is granted. It returns the form that exchanges the code.
func (r *rig) signIn(t testing.TB, request url.Values, user entratest.Account) url.Values {
	t.Helper()
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, user))
	if err != nil {
		t.Fatal(err)
	}
	return r.formOf(t, request, answered)
}

func (r *rig) formOf(t testing.TB, request url.Values, answered Answered) url.Values {
	t.Helper()
	u, err := url.Parse(answered.Location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("state") != request.Get("state") || !strings.HasPrefix(q.Get("code"), "flc_") || len(q.Get("code")) != 4+32 || q.Has("error") || !strings.HasPrefix(answered.Location, request.Get("redirect_uri")) {
		t.Fatalf("sent back to %s", answered.Location)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {request.Get("redirect_uri")}, "client_id": {request.Get("client_id")}}
	if request.Has("code_challenge") {
		form.Set("code_verifier", verifier)
	}
	return form
}

// tokens is an exchange that succeeds.
func (r *rig) tokens(t testing.TB, form url.Values) TokenAnswer {
	t.Helper()
	answer, err := r.Token(t.Context(), slug, nil, form)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// refreshForm exchanges the refresh token of an answer.
func refreshForm(a TokenAnswer) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.RefreshToken}, "client_id": {"one"}}
}

// codeOf is the code of an error: of OAuth's, of a page, or of a problem.
func codeOf(err error) string {
	var (
		told    *oauth.Error
		shown   *Shown
		refused *Refused
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &told):
		return told.Code
	case errors.As(err, &shown):
		return "page " + shown.Code
	case errors.As(err, &refused):
		return "app " + refused.Code
	}
	return string(problem.CodeOf(err))
}

// with returns values with changes: "name=value" sets, "-name" removes, "+name=value" repeats.
func with(v url.Values, changes ...string) url.Values {
	next := url.Values{}
	for name, values := range v {
		next[name] = append([]string{}, values...)
	}
	for _, c := range changes {
		name, value, _ := strings.Cut(strings.TrimLeft(c, "+-"), "=")
		switch c[0] {
		case '-':
			next.Del(name)
		case '+':
			next.Add(name, value)
		default:
			next.Set(name, value)
		}
	}
	return next
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
