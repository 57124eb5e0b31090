package cmd_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/config"
	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/link"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/verification"
)

// clinics are FHIR servers and the Entra of one of Microsoft's clouds. They have their names on
// the Internet but run inside the process. Tests reach them as the programs do: through
// azidentity, the guarded client and TLS.
type clinics struct {
	entra   *entratest.Authority
	fhir    *fhirtest.Server
	secrets *secrettest.Store
	client  *http.Client
	conns   *connections

	requests atomic.Int64
	latency  time.Duration // of every answer
}

// microsoftCloud names one of Microsoft's clouds: top-level domain, authority, and the domain of
// its FHIR services.
type microsoftCloud struct{ top, login, fhir string }

var (
	public       = microsoftCloud{"com", "login.microsoftonline.com", "fhir.azurehealthcareapis.com"}
	retired      = microsoftCloud{"com", "login.microsoftonline.com", "azurehealthcareapis.com"}
	usGovernment = microsoftCloud{"us", "login.microsoftonline.us", "fhir.azurehealthcareapis.us"}
)

const objectID = "55555555-5555-4555-8555-555555555555"

func newClinics(t testing.TB, cloud microsoftCloud, certificates ...*x509.Certificate) *clinics {
	t.Helper()
	c := &clinics{secrets: secrettest.New()}
	c.entra = entratest.New(entratest.Tenant{ID: tenant, Name: "Clinic", Apps: []entratest.App{{
		ClientID: cloudtest.ClientID, ObjectID: objectID, Certificates: certificates,
		Secrets: []entratest.Secret{{Value: cloudtest.Secret}, {Value: cloudtest.NextSecret}},
	}}})
	c.entra.URL = "https://" + cloud.login
	c.fhir = &fhirtest.Server{Domain: cloud.fhir, Authority: c.entra.URL + "/", TenantID: tenant, Validate: c.entra.Check}
	handlers := map[string]http.Handler{cloud.login: c.slowly(c.entra)}
	for _, host := range c.fhir.Hosts() {
		handlers[host] = c.slowly(c.fhir)
	}
	network, err := egresstest.New(cloud.top, handlers, nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(network.Certificate())
	c.conns = &connections{open: map[string]int{}}
	c.client = egress.NewClient(egress.Options{Intercept: c.conns.count(withoutNetwork(network.Intercept)), RootCAs: roots})
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		_ = network.Close() // nothing to flush
	})
	return c
}

func (c *clinics) slowly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		time.Sleep(c.latency)
		h.ServeHTTP(w, r)
	})
}

type intercept = func(host string) (egresstest.Dial, bool)

// withoutNetwork keeps every request in the process: a name that is not served does not exist.
func withoutNetwork(inner intercept) intercept {
	return func(host string) (egresstest.Dial, bool) {
		if dial, ok := inner(host); ok {
			return dial, true
		}
		return func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}, true
	}
}

// services are the links, and tokens for them.
type services struct {
	*link.Service
	tokens *tokens.Service
}

// service returns the links as a program with these settings has them.
func (c *clinics) service(t testing.TB, settings map[string]string) services {
	t.Helper()
	set, err := config.Local(func(name string) (string, bool) { value, ok := settings[name]; return value, ok })
	if err != nil {
		t.Fatal(err)
	}
	authority := func(fhir.BaseURL) string { return set.Authority }
	source := &clientcred.Source{Client: c.client}
	stores, quiet := linktest.New(), slog.New(slog.DiscardHandler)
	links := link.New(link.Deps{
		Stores: stores, Secrets: c.secrets, Tokens: source, Authority: authority, Log: quiet,
		Verifier: &verification.Verifier{Client: c.client, Tokens: source, Authority: authority},
	})
	return services{links, tokens.New(tokens.Deps{Links: links, Rows: stores, Secrets: c.secrets, Source: source, Authority: authority, Log: quiet})}
}

// verifier returns a verifier for tests of the verification alone.
func (c *clinics) verifier() *verification.Verifier {
	return &verification.Verifier{
		Client: c.client, Tokens: &clientcred.Source{Client: c.client},
		Authority: func(fhir.BaseURL) string { return c.entra.URL + "/" },
	}
}

// url returns the URL of the server for a scenario.
func (c *clinics) url(scenario string) string { return "https://" + scenario + "." + c.fhir.Domain }

// connections counts the open connections of each host.
type connections struct {
	mu   sync.Mutex
	open map[string]int
	peak int // the most of any one host
}

func (c *connections) count(inner intercept) intercept {
	return func(host string) (egresstest.Dial, bool) {
		dial, ok := inner(host)
		return func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			c.add(host, 1)
			return &counted{Conn: conn, closed: sync.OnceFunc(func() { c.add(host, -1) })}, nil
		}, ok
	}
}

func (c *connections) add(host string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host = strings.ToLower(host)
	c.open[host] += n
	c.peak = max(c.peak, c.open[host])
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}
