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

// A name that leads to an address that is allowed first and to one that is not afterwards:
// 127.0.0.1, which the setting allows, stands for a public address, 127.0.0.2 for a private
// one. The server ends every connection, so that each request asks the name server again.
// Whichever request it is that is led astray, nothing arrives there.
func TestRebindingDuringRegister(t *testing.T) {
	for _, tt := range []struct {
		allowed     int // answers of the name server before it changes its mind
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
		roots.AddCert(good.Certificate()) // that of httptest is good for example.com too
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

// listen serves TLS at an address of loopback.
func listen(t *testing.T, address string, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	l, err := net.Listen("tcp", address)
	if err != nil && strings.HasPrefix(address, "127.0.0.2") { // macOS has 127.0.0.1 alone, so nobody can be reached there
		server.Close()
		return server
	} else if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close() // in place of which stands l
	server.Listener = l
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are given up are meant
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
