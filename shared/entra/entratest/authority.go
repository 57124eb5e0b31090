package entratest

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fhirlink/shared/entra"
)

// Tenant is one directory.
type Tenant struct {
	ID   string // GUID, lower case
	Name string
	Apps []App
	// Knows reports whether the tenant knows a resource; nil: it knows every https URL.
	Knows func(resource string) bool
	// Defines reports whether a resource that the tenant knows has a delegated scope, whose name is
	// without the resource; nil: it has every one.
	Defines func(resource, scope string) bool

	// Zone is a DNS name. Requests for the FHIR servers below it that [Scenarios] lists get the
	// answer of the scenario.
	Zone string
}

// App is an application registration with its service principal.
type App struct {
	ClientID string // GUID, lower case
	ObjectID string // id of the service principal: the oid of its tokens
	Roles    []string
	Disabled bool
	Secrets  []Secret

	Certificates []*x509.Certificate // their keys may sign client assertions

	Redirects []RedirectURI
	// Consented are the delegated scopes, by resource, that an administrator has consented to for all
	// users. Names are without the resource.
	Consented map[string][]string
}

// RedirectURI is a registered redirect URI. Whether a segment * of its path stands for any one segment is
// up to the site that compares it: see package browser.
type RedirectURI struct {
	URI      string
	Platform Platform
}

// Platform is the kind of application that a redirect URI is registered for
// (https://learn.microsoft.com/entra/identity-platform/reply-url). It decides how a code is redeemed.
type Platform string

// The platforms.
const (
	Web    Platform = "web"    // a confidential client: it authenticates, and sends no Origin
	SPA    Platform = "spa"    // a page: PKCE and an Origin, no secret
	Public Platform = "public" // mobile and desktop: no secret, no Origin
)

// Secret is a client secret of an App.
type Secret struct {
	Value     string
	ExpiresOn time.Time // zero: never
}

// Authority behaves like login.microsoftonline.com. Set the exported fields before its first use.
type Authority struct {
	// URL is the address of the authority, e.g. https://login.sandbox.test/. If it is empty, the
	// address is taken from each request's Host.
	URL string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Lifetime is the lifetime of access tokens; 0: 3599 s, as Entra's usual one.
	Lifetime time.Duration
	// Removed, unless nil, reports whether somebody has deleted this client secret from the
	// application. It is then as wrong as any other text.
	Removed func(value string) bool
	// Scope, unless nil, changes the member scope of answers to users: Entra's may lack the resource, or
	// hold openid and offline_access. Without a text, the member is missing.
	Scope func(scope string) string
	// TextExpiresIn makes expires_in of answers to users a string, as the endpoint of version 1 does.
	TextExpiresIn bool
	// Before, unless nil, is called first with every request. It returns true if it has answered
	// the request. See [Authority.Throttle], [WebPage], [Hang], [Redirect].
	Before func(http.ResponseWriter, *http.Request) bool

	// Discoveries, Tokens and KeyFetches count the requests by endpoint, including those that
	// Before answered.
	Discoveries, Tokens, KeyFetches atomic.Int64

	mu      sync.Mutex
	tenants map[string]Tenant
	keys    []*signer          // newest last
	appKeys map[string]*signer // of applications that have a key of their own
	people  people

	ticketKey [32]byte // encrypts codes and refresh tokens
}

// New returns an authority with the given tenants.
func New(tenants ...Tenant) *Authority {
	a := &Authority{tenants: map[string]Tenant{}, keys: []*signer{firstKey()}, appKeys: map[string]*signer{}, people: newPeople()}
	_, _ = rand.Read(a.ticketKey[:]) // never fails
	for _, t := range tenants {
		a.tenants[t.ID] = t
	}
	return a
}

// Set adds a tenant, or replaces the tenant with the same id.
func (a *Authority) Set(t Tenant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tenants[t.ID] = t
}

func (a *Authority) tenant(id string) (Tenant, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.tenants[strings.ToLower(id)]
	return t, ok
}

// App returns an application of a tenant, or of any tenant if none is given.
func (a *Authority) App(tenantID, clientID string) (App, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, t := range a.tenants {
		i := slices.IndexFunc(t.Apps, func(app App) bool { return app.ClientID == strings.ToLower(clientID) })
		if i >= 0 && (tenantID == "" || id == tenantID) {
			return t.Apps[i], true
		}
	}
	return App{}, false
}

func (a *Authority) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// ServeHTTP routes as Entra does: {tenant}/v2.0/.well-known/openid-configuration,
// {tenant}/oauth2/v2.0/token, {tenant}/discovery/v2.0/keys.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	route, count := http.HandlerFunc(http.NotFound), new(atomic.Int64)
	switch rest {
	case "v2.0/.well-known/openid-configuration":
		route, count = a.openIDConfiguration, &a.Discoveries
	case "oauth2/v2.0/token":
		route, count = a.token, &a.Tokens
	case "discovery/v2.0/keys", "discovery/keys":
		route, count = a.publishKeys, &a.KeyFetches
	}
	count.Add(1)
	if a.Before != nil && a.Before(w, r) {
		return
	}
	r.SetPathValue("tenant", tenant)
	route(w, r)
}

func (a *Authority) url(r *http.Request) string {
	return strings.TrimRight(cmp.Or(a.URL, "https://"+r.Host), "/")
}

func (a *Authority) openIDConfiguration(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("tenant")
	tenant, known := a.tenant(id)
	if !known {
		a.refuse(w, tenantRefusal(id, "invalid_tenant"))
		return
	}
	base := a.url(r) + "/" + tenant.ID
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"tenant_region_scope":                   "WW",
		"cloud_instance_name":                   "microsoftonline.com",
	})
}

// tenantRefusal is the answer for an unknown tenant. Its OAuth error depends on the endpoint.
func tenantRefusal(id, oauth string) refusal {
	if !entra.IsGUID(id) && !strings.Contains(id, ".") {
		return refusal{http.StatusBadRequest, "invalid_request", 900023, "Specified tenant identifier '" + id + "' is neither a valid DNS name, nor a valid external domain."}
	}
	return refusal{http.StatusBadRequest, oauth, 90002, "Tenant '" + id + "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the caller has gone
}
