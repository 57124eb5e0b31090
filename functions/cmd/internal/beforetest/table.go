package beforetest

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"fhirlink/functions"
	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/caller"
	"fhirlink/shared/egress"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/keyvault"
	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store/aztable"
	"fhirlink/shared/store/aztable/tabletest"
	"fhirlink/shared/verification"
)

// Table is the API over Table Storage and Key Vault. It uses the drivers of the cloud's
// programs, with the sandbox for the outside world. The test sets its clock.
type Table struct {
	Vault *vaulttest.Server

	table  *aztables.Client
	vault  *azsecrets.Client
	box    *sandbox.Sandbox
	egress *http.Client
	server *httptest.Server // of the program that Open started last
}

// newTable makes a table that does not exist yet: in Azurite when it runs (make azurite-test),
// otherwise in a stand-in.
func newTable(t *testing.T, held []secrettest.Entry) *Table {
	t.Helper()
	tb := &Table{Vault: vaulttest.NewServer()}
	tb.Vault.Store = secrettest.Restore(held)

	connection := os.Getenv("AZURITE_TABLE_CONNECTION_STRING")
	if connection == "" {
		connection = tabletest.Start(t)
	}
	service, err := aztables.NewServiceClientFromConnectionString(connection, aztable.ClientOptions())
	must(t, err)
	tb.table = service.NewClient("before" + strings.ToLower(rand.Text()))

	options := keyvault.ClientOptions()
	options.Transport = tb.Vault.Start(t)
	tb.vault, err = azsecrets.NewClient("https://contoso.vault.azure.net", &azfake.TokenCredential{}, options)
	must(t, err)

	sink, err := sandbox.NewSink("", slog.New(slog.DiscardHandler))
	must(t, err)
	tb.box, err = sandbox.New(sink)
	must(t, err)
	t.Cleanup(func() { must(t, tb.box.Close()) })
	roots := x509.NewCertPool()
	tb.box.Trust(roots)
	tb.egress = egress.NewClient(egress.Options{Intercept: tb.box.Intercept, RootCAs: roots})
	return tb
}

// Open starts the program again, with its clock at the given time and nothing in its memory.
func (tb *Table) Open(t *testing.T, at time.Time) Program {
	t.Helper()
	opened := time.Now()
	p, _, _ := tb.assemble(t, func() time.Time { return at.Add(time.Since(opened)) })
	return p
}

// assemble makes a program, and also returns its services.
func (tb *Table) assemble(t *testing.T, now func() time.Time) (Program, *link.Service, *webhook.Service) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	stores, secrets := aztable.New(tb.table), keyvault.New(keyvault.Vault{Name: "contoso", Client: tb.vault})
	source := &clientcred.Source{Client: tb.egress}
	authority := func(fhir.BaseURL) string { return sandbox.Authority }
	webhooks := webhook.New(webhook.Deps{Endpoints: stores.Endpoints(), Secrets: secrets, Client: tb.egress, Now: now, Log: log})
	links := link.New(link.Deps{
		Stores: stores, Secrets: secrets, Tokens: laterExpiry{source, now}, Authority: authority,
		Verifier: &verification.Verifier{Client: tb.egress, Tokens: source, Authority: authority, Kind: tb.box.Kind},
		Channel:  webhooks, Mailer: tb.box.Sink, Now: now, Log: log,
	})
	sweep := expiry.Sweep{Links: links, Trail: trail.Trimmer{Store: stores, Cells: stores, Now: now}, Cells: stores, Now: now, Log: log}
	public := functions.New(functions.Deps{
		Links: links, Webhooks: webhooks, Callers: headerOnly{}, Sweep: sweep, Log: log, Now: now, Program: "before",
		Tokens: tokens.New(tokens.Deps{Links: links, Rows: stores, Secrets: secrets, Source: laterExpiry{source, now}, Authority: authority, Now: now, Log: log}),
	})
	mux := http.NewServeMux()
	mux.Handle("/", public)
	mux.HandleFunc(sinkPath, tb.box.Sink.Show)
	if tb.server != nil {
		tb.server.Close()
	}
	tb.server = httptest.NewServer(mux)
	t.Cleanup(tb.server.Close)
	return Program{URL: tb.server.URL, Sweep: sweep.Run, Enabled: tb.enabled}, links, webhooks
}

func (tb *Table) enabled() (n int) {
	for _, name := range tb.Vault.Store.Names() {
		n += len(tb.Vault.Store.Enabled(name))
	}
	return n
}

// trust registers a certificate with the sandbox's application.
func (tb *Table) trust(t *testing.T, text string) {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	tb.box.Entra.Set(entratest.Tenant{ID: sandbox.TenantID, Name: "Sandbox", Zone: "sandbox.test", Apps: []entratest.App{{
		ClientID: sandbox.ClientID, ObjectID: "55555555-5555-4555-8555-555555555555",
		Secrets: []entratest.Secret{{Value: sandbox.Secret}}, Certificates: []*x509.Certificate{certificate},
	}}})
}

// insert puts entities into the table, each exactly as it was on the wire.
func (tb *Table) insert(t *testing.T, entities []json.RawMessage) {
	t.Helper()
	_, err := tb.table.CreateTable(t.Context(), nil)
	must(t, err)
	for _, e := range entities {
		_, err := tb.table.AddEntity(t.Context(), e, nil)
		must(t, err)
	}
}

// laterExpiry moves the expiry of tokens to the program's clock, because the sandbox uses the real
// time.
type laterExpiry struct {
	*clientcred.Source
	now func() time.Time
}

// Token implements [entra.TokenSource].
func (l laterExpiry) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	token, err := l.Source.Token(ctx, c, scope)
	token.ExpiresOn = token.ExpiresOn.Add(time.Until(l.now()))
	return token, err
}

// headerOnly is cmd/local's sign-in rule: a header names the organization.
type headerOnly struct{}

// Authenticate implements [caller.Authenticator].
func (headerOnly) Authenticate(r *http.Request) (caller.Caller, error) {
	organization := r.Header.Get(organizationHeader)
	if organization == "" {
		return caller.Caller{}, errors.New("no organization")
	}
	return caller.Caller{
		Organization: organization, ObjectID: "55555555-5555-4555-8555-555555555555", AppID: "66666666-6666-4666-8666-666666666666",
		App: true, Roles: []string{"Links.Manage.All", "Links.Token.All"},
	}, nil
}

// vaultSecret is one secret in the fixture.
type vaultSecret struct {
	Name     string         `json:"name"`
	Deleted  bool           `json:"deleted,omitempty"`
	Versions []vaultVersion `json:"versions,omitempty"`
}

type vaultVersion struct {
	ID           string    `json:"id"`
	CreatedAt    time.Time `json:"createdAt"`
	Enabled      bool      `json:"enabled"`
	ExpiresOn    time.Time `json:"expiresOn,omitzero"`
	Slug         string    `json:"slug,omitempty"`
	Organization string    `json:"organization,omitempty"`
	Value        string    `json:"value"`
}

// tableFixture is the content of table.json.
type tableFixture struct {
	Entities []json.RawMessage `json:"entities"`
	Vault    []vaultSecret     `json:"vault"`
}

func (f tableFixture) entries() (all []secrettest.Entry) {
	for _, s := range f.Vault {
		e := secrettest.Entry{Name: s.Name, Deleted: s.Deleted}
		for _, v := range s.Versions {
			e.Versions = append(e.Versions, secrettest.Held{
				Version:    secret.Version{ID: v.ID, CreatedAt: v.CreatedAt, Enabled: v.Enabled},
				Attributes: secret.Attributes{ExpiresOn: v.ExpiresOn, Slug: v.Slug, Organization: v.Organization},
				Value:      secret.New(v.Value),
			})
		}
		all = append(all, e)
	}
	return all
}

// OpenTable returns a table and a vault with the content of the fixture. The sandbox accepts the
// fixture's certificate.
func OpenTable(t *testing.T) *Table {
	t.Helper()
	var f tableFixture
	must(t, json.Unmarshal(File(t, "table.json"), &f))
	tb := newTable(t, f.entries())
	tb.fill(t, f)
	return tb
}

func (tb *Table) fill(t *testing.T, f tableFixture) {
	t.Helper()
	tb.insert(t, f.Entities)
	for _, s := range f.Vault {
		for _, v := range s.Versions {
			if strings.HasPrefix(v.Value, "-----BEGIN") {
				tb.trust(t, v.Value)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
