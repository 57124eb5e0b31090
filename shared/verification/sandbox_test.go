package verification_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"testing"

	"fhirlink/shared/credential"
	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	client   = "22222222-2222-4222-8222-222222222222"
	objectID = "55555555-5555-4555-8555-555555555555"
	good     = "sandbox-secret-value"
	expired  = "sandbox-expired-value"
	zone     = "sandbox.test"
	login    = "https://login." + zone + "/"
)

// sandbox is Entra and every FHIR server of fhirtest on a separate network.
type sandbox struct {
	*verification.Verifier
	entra *entratest.Authority
	fhir  *fhirtest.Server
	evil  *recorder // the authority that hostile servers name
	conns *connections
}

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	authority := entratest.Sandbox(entratest.Registration{
		URL: login, TenantID: tenant, ClientID: client, Secret: good, ExpiredSecret: expired, Zone: zone,
	})
	server := &fhirtest.Server{Domain: "fhir." + zone, Authority: login, TenantID: tenant, Validate: authority.Check, Healthy: entratest.Scenarios()}
	evil := &recorder{}
	handlers := map[string]http.Handler{"login." + zone: authority, "login.evil.test": evil}
	for _, host := range server.Hosts() {
		handlers[host] = server
	}
	network, err := egresstest.New("test", handlers, server.Dials())
	if err != nil {
		t.Fatal(err)
	}
	conns := &connections{open: map[string]int{}}
	roots := x509.NewCertPool()
	roots.AddCert(network.Certificate())
	guarded := egress.NewClient(egress.Options{Intercept: conns.count(network.Intercept), RootCAs: roots})
	t.Cleanup(func() {
		guarded.CloseIdleConnections()
		_ = network.Close() // the listener is ours and has nothing to flush
	})
	return &sandbox{
		Verifier: &verification.Verifier{
			Client:    guarded,
			Tokens:    &entratest.Source{Client: guarded},
			Authority: func(fhir.BaseURL) string { return login },
			Kind:      server.Kind,
		},
		entra: authority, fhir: server, evil: evil, conns: conns,
	}
}

func target(t testing.TB, scenario string) verification.Target {
	t.Helper()
	base, _, mistake := fhir.ParseBaseURL("https://"+scenario+".fhir."+zone, false)
	if mistake != nil {
		t.Fatalf("%s: %+v", scenario, mistake)
	}
	return verification.Target{Server: base, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(good)}}
}

func check(t testing.TB, r verification.Report, id string) verification.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no check %s", id)
	return verification.Check{}
}

// connections counts the open connections of each host.
type connections struct {
	mu   sync.Mutex
	open map[string]int
	peak int // of any one host
}

type intercept = func(host string) (egresstest.Dial, bool)

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
