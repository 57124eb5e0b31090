package cloudtest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/signer/signertest"
)

// The tenants, applications and secrets of the tests.
const (
	Tenant      = "11111111-1111-4111-8111-111111111111"
	OtherTenant = "77777777-7777-4777-8777-777777777777"
	Stranger    = "88888888-8888-4888-8888-888888888888" // a tenant that is not allowed to call
	Audience    = "66666666-6666-4666-8666-666666666666" // of the API
	ClientID    = "22222222-2222-4222-8222-222222222222" // the clinic's application
	Secret      = "canary~8Q.clinic-secret"
	NextSecret  = "canary~8Q.second-secret"
	// ExpiredSecret is a secret that Entra refuses as expired.
	ExpiredSecret = "canary~8Q.expired-secret"

	// Of SMART apps that have applications of their own.
	AppClientID      = "2a2a2a2a-0000-4000-8000-000000000001"
	AppSecret        = "canary~8Q.app-secret"
	AppNextSecret    = "canary~8Q.next-app-secret"
	OtherAppClientID = "2a2a2a2a-0000-4000-8000-000000000002"
	OtherAppSecret   = "canary~8Q.other-app-secret"

	// PublicURL is where browsers reach the programs. Tests send the requests elsewhere.
	PublicURL = "https://links.example.org"
	// Patient is the id of the patient who signs in as pat.
	Patient = "canary-patient-1"
)

// signingKey is the default of FHIRLINK_SMART_KEY.
const signingKey = "fhirlink-smart"

// resource is the audience of the FHIR server's tokens. A server at an IP address cannot have
// its own URL as audience here, because the scenarios depend on host names.
const resource = "https://generic.fhir.example"

// Cloud holds the services around a program.
type Cloud struct {
	Entra    *entratest.Authority
	Site     *browser.Site // where browsers meet Entra, at the same address
	Vault    *vaulttest.Server
	FHIR     *fhirtest.Server
	Identity atomic.Int64 // tokens that the managed identity has issued

	// Entra and the vault answer with these instead, unless nil. A test may change them at any
	// time.
	EntraFault, VaultFault atomic.Pointer[Fault]

	AuthorityURL, VaultURL, IdentityURL, FHIRURL string

	// Client trusts the servers, and follows no redirects.
	Client *http.Client

	certificate string
}

// Fault answers in place of a server, like entratest.Authority.Throttle and secrettest.Fail. It
// reports whether it has answered.
type Fault func(http.ResponseWriter, *http.Request) bool

// current returns a Fault that answers with the current fault, if there is one.
func current(fault *atomic.Pointer[Fault]) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		f := fault.Load()
		return f != nil && (*f)(w, r)
	}
}

// Start starts the servers, which end with the test.
func Start(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{}
	c.Entra = entratest.New(
		entratest.Tenant{ID: Tenant, Name: "Clinic", Defines: entratest.Registered, Apps: []entratest.App{{
			ClientID: ClientID, ObjectID: "55555555-5555-4555-8555-555555555555",
			Secrets: []entratest.Secret{{Value: Secret}, {Value: NextSecret}, {Value: ExpiredSecret, ExpiresOn: time.Unix(1, 0)}},
		}, {
			ClientID: AppClientID, ObjectID: "2a2a2a2a-0000-4000-8000-0000000000a1", Secrets: []entratest.Secret{{Value: AppSecret}, {Value: AppNextSecret}},
		}, {
			ClientID: OtherAppClientID, ObjectID: "2a2a2a2a-0000-4000-8000-0000000000a2", Secrets: []entratest.Secret{{Value: OtherAppSecret}}, Roles: []string{"system~Patient.rs", "system~Observation.cruds"},
		}}},
		entratest.Tenant{ID: OtherTenant, Name: "Other"}, entratest.Tenant{ID: Stranger, Name: "Stranger"},
	)
	c.Entra.Before = current(&c.EntraFault)
	c.FHIR = &fhirtest.Server{Domain: "fhir.example", TenantID: Tenant, Validate: c.Entra.Check}

	c.AuthorityURL = c.serve(t, http.HandlerFunc(c.entra))
	c.Vault, c.VaultURL = c.NewVault(t)
	c.Vault.Keys = map[string]*signertest.Key{signingKey: signertest.New()}
	c.Vault.Before = current(&c.VaultFault)
	c.FHIRURL = c.serve(t, http.HandlerFunc(c.fhir))
	c.Entra.URL, c.FHIR.Authority = c.AuthorityURL, c.AuthorityURL+"/"
	c.Site = browser.New(c.Entra, c.AuthorityURL, PublicURL, Audience)
	for i, u := range c.Site.Users {
		if u.Short() == "pat" {
			c.Site.Users[i].FHIRUser = "Patient/" + Patient
		}
	}

	identity := httptest.NewServer(http.HandlerFunc(c.identity))
	t.Cleanup(identity.Close)
	c.IdentityURL = identity.URL
	return c
}

// serve starts a TLS server on 127.0.0.1. All servers use the certificate of httptest, which is
// written to a file for the programs.
func (c *Cloud) serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	server.StartTLS()
	t.Cleanup(server.Close)
	if c.certificate == "" {
		c.Client = server.Client()
		c.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c.certificate = filepath.Join(t.TempDir(), "stand-ins.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(c.certificate, block, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server.URL
}

// entra serves programs and browsers.
func (c *Cloud) entra(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/authorize") {
		c.Site.ServeHTTP(w, r)
		return
	}
	c.Entra.ServeHTTP(w, r)
}

// NewVault starts another Key Vault. azsecrets accepts a vault only if its host lies below the
// host of the resource that the vault names. 127.0.0.1:443 is below 0.0.1:443 as
// contoso.vault.azure.net is below vault.azure.net.
func (c *Cloud) NewVault(t testing.TB) (vault *vaulttest.Server, address string) {
	t.Helper()
	vault = vaulttest.NewServer()
	address = c.serve(t, vault)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parent := strings.TrimPrefix(u.Host, "127.")
	vault.Challenge = fmt.Sprintf(`Bearer authorization="%s/%s", resource="https://%s"`, c.AuthorityURL, Tenant, parent)
	return vault, address
}

// identity answers like the managed identity of App Service.
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
func (c *Cloud) identity(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Identity-Header") != identityHeader || r.URL.Query().Get("resource") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.Identity.Add(1)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{ // the caller went away
		"access_token": "canary-identity-token", "token_type": "Bearer", "resource": r.URL.Query().Get("resource"),
		"expires_on": fmt.Sprint(time.Now().Add(24 * time.Hour).Unix()),
	})
}

const identityHeader = "canary-identity-header"

// fhir serves the scenario at the start of the path, or the one of the resource. A server at an
// IP address has no host name that could name the scenario.
func (c *Cloud) fhir(w http.ResponseWriter, r *http.Request) {
	r.Host = strings.TrimPrefix(resource, "https://")
	scenario, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if host := scenario + "." + c.FHIR.Domain; slices.Contains(c.FHIR.Hosts(), host) {
		r.Host, r.URL.Path = host, "/"+rest
	}
	c.FHIR.ServeHTTP(w, r)
}

// Server returns the URL of the FHIR server for a scenario. It also returns the audience of its
// tokens, unless the scenario is about the audience.
func (c *Cloud) Server(scenario string) (url, audience string) {
	return c.FHIRURL + "/" + scenario, "https://" + scenario + "." + c.FHIR.Domain
}

// Env returns the environment for a program over the table of the connection string. More
// settings of the form NAME=value override the usual ones.
func (c *Cloud) Env(table string, more ...string) []string {
	return append([]string{
		"SSL_CERT_FILE=" + c.certificate,
		"IDENTITY_ENDPOINT=" + c.IdentityURL, "IDENTITY_HEADER=" + identityHeader,
		"FHIRLINK_KEY_VAULT_URL=" + c.VaultURL,
		"FHIRLINK_TABLE_CONNECTION_STRING=" + table,
		"FHIRLINK_AUTHORITY_HOST=" + c.AuthorityURL,
		"FHIRLINK_API_AUDIENCE=" + Audience,
		"FHIRLINK_ALLOWED_TENANTS=" + Tenant + "," + OtherTenant,
		"FHIRLINK_EGRESS_ALLOW=127.0.0.1/32",
		"FHIRLINK_PUBLIC_URL=" + PublicURL,
	}, more...)
}

// App returns the token of an application of a tenant with the roles.
func (c *Cloud) App(tenant string, roles ...string) string {
	return c.Entra.Mint(map[string]any{"tid": tenant, "aud": Audience, "roles": roles})
}

// User returns the token of a user of a tenant with the scopes and roles.
func (c *Cloud) User(tenant, scopes string, roles ...string) string {
	return c.Entra.Mint(map[string]any{"tid": tenant, "aud": Audience, "scp": scopes, "roles": roles, "preferred_username": "a@example.org"})
}

// Object returns the object id of a person who signs in at Site, in the clinic's tenant.
func (c *Cloud) Object(short string) string {
	for _, u := range c.Site.Users {
		if u.Short() == short {
			return u.Members[Tenant].ObjectID
		}
	}
	return ""
}

// Registration returns the body of a register request for the stand-in's FHIR server.
func (c *Cloud) Registration(slug string) map[string]any {
	return map[string]any{
		"slug": slug, "description": "Good Health Clinic", "fhirServerUrl": c.FHIRURL + "/metadata",
		"clientId": ClientID, "clientSecret": Secret, "secretExpiresOn": time.Now().AddDate(1, 0, 0).Format(time.DateOnly),
		"tenantId": Tenant, "audience": resource,
	}
}
