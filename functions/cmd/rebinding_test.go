package cmd_test

import (
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/link"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/verification"
)

// A name resolves to an allowed address first and to a forbidden one later. The setting allows
// 127.0.0.1, which stands for a public address; 127.0.0.2 stands for a private one. The server
// closes every connection, so each request looks the name up again. No request ever arrives at
// the forbidden address, whichever lookup changes first.
func TestRebindingDuringRegister(t *testing.T) {
	for _, tt := range []struct {
		allowed     int // lookups before the answer changes
		check, code string
	}{
		{0, verification.CheckAddress, "address_blocked"},
		{1, verification.CheckAuthority, "address_blocked"},
		{2, verification.CheckRead, "address_blocked"},
		{3, verification.CheckWrite, "address_blocked"},
	} {
		var led atomic.Int64 // requests that reached the private address
		authority := entratest.New(entratest.Tenant{ID: tenant, Apps: []entratest.App{{
			ClientID: cloudtest.ClientID, ObjectID: objectID, Secrets: []entratest.Secret{{Value: cloudtest.Secret}},
		}}})
		login := listen(t, "127.0.0.1:0", authority)
		authority.URL = login.URL
		clinic := &fhirtest.Server{Domain: "com", Authority: login.URL + "/", TenantID: tenant, Validate: authority.Check, Healthy: []string{"example"}}
		good := listen(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			clinic.ServeHTTP(w, r)
		}))
		_, port, _ := net.SplitHostPort(good.Listener.Addr().String())
		listen(t, "127.0.0.2:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			led.Add(1)
			clinic.ServeHTTP(w, r)
		}))
		names, err := egresstest.NewNameServer(func(query int) []netip.Addr {
			if query < tt.allowed {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer names.Close()

		roots := x509.NewCertPool()
		roots.AddCert(good.Certificate()) // httptest's certificate covers example.com too
		client := egress.NewClient(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: names.Resolver(), RootCAs: roots})
		source := &clientcred.Source{Client: client}
		configured := func(fhir.BaseURL) string { return login.URL + "/" }
		s := link.New(link.Deps{
			Stores: linktest.New(), Secrets: secrettest.New(), Tokens: source, Authority: configured, AnyTarget: true, Log: slog.New(slog.DiscardHandler),
			Verifier: &verification.Verifier{
				Client: client, Tokens: source, Authority: configured,
				Kind: func(fhir.BaseURL) fhir.Kind { return fhir.Kind{Product: fhir.HealthDataServices} },
			},
		})
		r := registration("https://example.com:" + port)
		r.Audience = "https://example.com"
		if c := refuses(t, s, r, tt.code); c.ID != tt.check || strings.Contains(c.Message+c.Fix, "127.0.0") {
			t.Errorf("after %d answers: %+v", tt.allowed, c)
		}
		if led.Load() != 0 {
			t.Errorf("after %d answers: %d requests reached the private address", tt.allowed, led.Load())
		}
	}
}

// listen serves TLS at a loopback address.
func listen(t *testing.T, address string, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	l, err := net.Listen("tcp", address)
	if err != nil && strings.HasPrefix(address, "127.0.0.2") { // macOS has 127.0.0.1 only
		server.Close()
		return server
	} else if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close() // replaced by l
	server.Listener = l
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
