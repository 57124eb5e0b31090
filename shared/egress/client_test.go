package egress_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
)

// loopbackOnly holds the addresses that tests may reach.
var loopbackOnly = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// backend counts the requests that reach it.
func backend(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if handler != nil {
			handler(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server, hits
}

func roots(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = res.Body.Close() }) // nothing is left to read
	}
	return res, err
}

func TestBlocksAddresses(t *testing.T) {
	server, hits := backend(t, nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	c := egress.NewClient(egress.Options{RootCAs: roots(server)})
	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0.0.0.0", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"10.0.0.1", "169.254.169.254", "168.63.129.16", "100.64.0.1", "192.168.0.1", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[ff02::1]",
	} {
		for _, suffix := range []string{"", ":" + port} {
			_, err := get(t, c, "https://"+host+suffix+"/")
			var dns *net.DNSError
			if !errors.Is(err, egress.ErrBlocked) && !errors.As(err, &dns) && !strings.Contains(fmt.Sprint(err), "network is unreachable") {
				t.Errorf("%s: %v", host+suffix, err)
			}
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

func TestBlocksPorts(t *testing.T) {
	c := egress.NewClient(egress.Options{})
	for _, url := range []string{"http://8.8.8.8/", "https://8.8.8.8:8443/", "https://[2606:4700::1111]:80/"} {
		if _, err := get(t, c, url); !errors.Is(err, egress.ErrBlocked) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestErrorHidesAddress(t *testing.T) {
	c := egress.NewClient(egress.Options{Resolver: nameServer(t, "10.11.12.13")})
	_, err := get(t, c, "https://fhir.example.test./")
	var wrapped *url.Error
	if !errors.Is(err, egress.ErrBlocked) || !errors.As(err, &wrapped) {
		t.Fatal(err)
	}
}

func TestAllowedOnAnyPort(t *testing.T) {
	server, hits := backend(t, nil)
	c := egress.NewClient(egress.Options{Allow: loopbackOnly, RootCAs: roots(server)})
	res, err := get(t, c, server.URL)
	if err != nil || res.StatusCode != http.StatusOK || hits.Load() != 1 {
		t.Fatal(res, err)
	}
}

// A name server that changes its answer from one query to the next.
func TestRebinding(t *testing.T) {
	server, hits := backend(t, nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	resolver := nameServer(t, "8.8.8.8", "127.0.0.1")
	first, err := resolver.LookupIPAddr(t.Context(), "fhir.example.test.")
	if err != nil || first[0].String() != "8.8.8.8" {
		t.Fatal(first, err)
	}
	c := egress.NewClient(egress.Options{Resolver: resolver, RootCAs: roots(server)})
	if _, err := get(t, c, "https://fhir.example.test.:"+port+"/"); !errors.Is(err, egress.ErrBlocked) || hits.Load() != 0 {
		t.Errorf("%v after %d hits", err, hits.Load())
	}
}

// If a name has several addresses, only the allowed ones are dialled.
func TestSeveralAddresses(t *testing.T) {
	server, hits := backend(t, nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	bad, good := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")
	for _, order := range [][]netip.Addr{{bad, good}, {good, bad}} {
		resolver := nameServerFor(t, func(int) []netip.Addr { return order })
		c := egress.NewClient(egress.Options{Allow: loopbackOnly, Resolver: resolver, RootCAs: roots(server)})
		if res, err := get(t, c, "https://example.com:"+port+"/"); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%v: %v", order, err)
		}
		c.CloseIdleConnections()
		closed := egress.NewClient(egress.Options{Resolver: resolver, RootCAs: roots(server)})
		if _, err := get(t, closed, "https://example.com:"+port+"/"); !errors.Is(err, egress.ErrBlocked) {
			t.Errorf("%v, nothing allowed: %v", order, err)
		}
	}
	if hits.Load() != 2 {
		t.Errorf("%d requests arrived, want 2", hits.Load())
	}
}

func TestFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"/again", "http://169.254.169.254/metadata", "https://example.org/", "http://127.0.0.1:1/"} {
			server, hits := backend(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			c := egress.NewClient(egress.Options{Allow: loopbackOnly, RootCAs: roots(server)})
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("client_secret=canary"))
			req.Header.Set("Authorization", "Bearer canary")
			res, err := c.Do(req)
			if err != nil || res.StatusCode != status || hits.Load() != 1 {
				t.Fatalf("%d %s: %v %v, %d hits", status, location, res, err, hits.Load())
			}
			_ = res.Body.Close() // empty
		}
	}
}

func TestUsesNoProxy(t *testing.T) {
	proxy, asked := backend(t, nil)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	server, hits := backend(t, nil)
	c := egress.NewClient(egress.Options{Allow: loopbackOnly, RootCAs: roots(server)})
	if c.Transport.(*http.Transport).Proxy != nil {
		t.Error("the transport has a proxy")
	}
	if _, err := get(t, c, server.URL); err != nil || hits.Load() != 1 || asked.Load() != 0 {
		t.Errorf("%v; the server was asked %d times, the proxy %d times", err, hits.Load(), asked.Load())
	}
}

func TestLimitsHeaders(t *testing.T) {
	server, _ := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 200<<10))
	})
	c := egress.NewClient(egress.Options{Allow: loopbackOnly, RootCAs: roots(server)})
	if res, err := get(t, c, server.URL); err == nil {
		t.Errorf("accepted %d bytes of header", len(res.Header.Get("X-Long")))
	}
}

func TestDistinguishesFailures(t *testing.T) {
	stranger, _ := backend(t, nil)
	c := egress.NewClient(egress.Options{Allow: loopbackOnly, Resolver: nameServerFor(t, func(int) []netip.Addr { return nil })})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := listener.Addr().String()
	_ = listener.Close() // so that dialling it is refused
	for name, target := range map[string]string{"TLS": stranger.URL, "connection": "https://" + closedPort, "DNS": "https://nowhere.example.test./"} {
		if _, err := get(t, c, target); err == nil || errors.Is(err, egress.ErrBlocked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIntercept(t *testing.T) {
	network, err := egresstest.New("sandbox.test", map[string]http.Handler{
		"a.sandbox.test": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "a "+r.Host) }),
	}, map[string]egresstest.Dial{"other.sandbox.test": nil})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() }) // nothing to flush
	pool := x509.NewCertPool()
	pool.AddCert(network.Certificate())
	c := egress.NewClient(egress.Options{Intercept: network.Intercept, RootCAs: pool})
	defer c.CloseIdleConnections()
	res, err := get(t, c, "https://a.sandbox.test/")
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "a a.sandbox.test" {
		t.Errorf("got %q", body)
	}
	var dns *net.DNSError
	if _, err := get(t, c, "https://b.sandbox.test/"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("an unknown name: %v", err)
	}
	var hostname x509.HostnameError
	if _, err := get(t, c, "https://other.sandbox.test/"); !errors.As(err, &hostname) {
		t.Errorf("a name without a certificate: %v", err)
	}
	if _, err := get(t, c, "https://127.0.0.1/"); !errors.Is(err, egress.ErrBlocked) {
		t.Errorf("a name outside: %v", err)
	}
}

// nameServer answers its first query with the first address, and so on. The last address answers
// all further queries.
func nameServer(t *testing.T, addresses ...string) *net.Resolver {
	return nameServerFor(t, func(query int) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr(addresses[min(query, len(addresses)-1)])}
	})
}

func nameServerFor(t *testing.T, addresses func(query int) []netip.Addr) *net.Resolver {
	t.Helper()
	s, err := egresstest.NewNameServer(addresses)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // nothing to flush
	return s.Resolver()
}
