package egresstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Dial opens a connection to a name, or fails as a network would.
type Dial = func(context.Context) (net.Conn, error)

// Network serves names under one domain. Create one with New.
type Network struct {
	domain string
	dials  map[string]Dial
	server *http.Server
	pipes  *pipes
	ca     *x509.Certificate
}

// New serves one handler per host name. All names end in domain, e.g. "sandbox.test"; other names
// under it do not exist. dials holds names with a special way to connect. A nil Dial connects to
// a server without a certificate for the name.
func New(domain string, servers map[string]http.Handler, dials map[string]Dial) (*Network, error) {
	names := make([]string, 0, len(servers))
	for name := range servers {
		names = append(names, name)
	}
	slices.Sort(names)
	ca, certificate, err := certify(names)
	if err != nil {
		return nil, err
	}
	n := &Network{domain: domain, dials: make(map[string]Dial), pipes: newPipes(), ca: ca}
	for name := range servers {
		n.dials[name] = n.pipes.dial
	}
	for name, dial := range dials {
		if dial == nil {
			dial = n.pipes.dial
		}
		n.dials[name] = dial
	}
	n.server = &http.Server{
		Handler:           byHost(servers),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // tests hang up on purpose
	}
	go func() { _ = n.server.ServeTLS(n.pipes, "", "") }() // it ends with Close, and its error says so
	return n, nil
}

// Intercept is an [egress.Options].Intercept for the names of the network.
func (n *Network) Intercept(host string) (Dial, bool) {
	host = strings.ToLower(host)
	if dial, ok := n.dials[host]; ok {
		return dial, true
	}
	if host == n.domain || strings.HasSuffix(host, "."+n.domain) {
		return func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}, true
	}
	return nil, false
}

// Certificate returns the authority that signed the servers' certificate. It is new in every
// process, and its key is discarded.
func (n *Network) Certificate() *x509.Certificate { return n.ca }

// Close stops all servers and closes their connections.
func (n *Network) Close() error { return n.server.Close() }

func byHost(servers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		h, ok := servers[strings.ToLower(host)]
		if !ok {
			http.Error(w, "no such server", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// certify creates an authority and a certificate for names.
func certify(names []string) (*x509.Certificate, tls.Certificate, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "in-process network"},
		// A wide range, because tests set their own clocks.
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	leaf, err := leafOf(ca, caKey, names)
	return ca, leaf, err
}

func leafOf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, names []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, &key.PublicKey, caKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// pipes is a [net.Listener] whose connections stay inside the process.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes {
	return &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := pipe()
	select {
	case p.incoming <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return address{} }
