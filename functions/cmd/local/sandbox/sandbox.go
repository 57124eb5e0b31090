package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
)

// The sandbox's names, and the registrations that its authority knows: the link's, and those of three SMART apps.
const (
	Authority     = "https://" + loginHost + "/"
	TenantID      = "11111111-1111-4111-8111-111111111111"
	ClientID      = "22222222-2222-4222-8222-222222222222"
	Secret        = "sandbox-secret-value"
	ExpiredSecret = "sandbox-expired-value"

	AppClientID      = "2a2a2a2a-0000-4000-8000-000000000001"
	AppSecret        = "sandbox-app-secret"
	AppNextSecret    = "sandbox-app-next-secret"
	OtherAppClientID = "2a2a2a2a-0000-4000-8000-000000000002"
	OtherAppSecret   = "sandbox-other-app-secret"
	UserAppClientID  = "2a2a2a2a-0000-4000-8000-000000000003"
	UserAppSecret    = "sandbox-user-app-secret"

	// RevocableSecret is valid, until POST /sandbox/revoke makes Entra refuse it.
	RevocableSecret = "sandbox-revocable-value"

	zone       = "sandbox.test"
	loginHost  = "login." + zone
	fhirDomain = "fhir." + zone
)

// Scenarios returns the FHIR servers that the banner suggests.
func Scenarios() []string {
	return []string{
		"clinic", "readonly", "norole", "audience", "anonymous", "throttled",
		"down", "html", "metadata404", "slow", "redirect", "huge",
	}
}

// Sandbox runs from New to Close.
type Sandbox struct {
	Entra *entratest.Authority
	FHIR  *fhirtest.Server
	Sink  *Sink

	revoked  atomic.Bool // RevocableSecret is
	root     *x509.Certificate
	listener net.Listener
	server   *http.Server
	sites    []*http.Server // for browsers
}

// New starts a sandbox with a receiver of notifications.
func New(sink *Sink) (*Sandbox, error) {
	certificate, root, err := certify(zone, loginHost, sinkHost, "*."+fhirDomain)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	authority := entratest.Sandbox(entratest.Registration{
		URL: Authority, TenantID: TenantID, ClientID: ClientID, Secret: Secret, SecondSecret: RevocableSecret, ExpiredSecret: ExpiredSecret, Zone: zone, Defines: entratest.Registered,
		Others: []entratest.App{
			{ClientID: AppClientID, ObjectID: "2a2a2a2a-0000-4000-8000-0000000000a1", Secrets: []entratest.Secret{{Value: AppSecret}, {Value: AppNextSecret}}},
			{ClientID: OtherAppClientID, ObjectID: "2a2a2a2a-0000-4000-8000-0000000000a2", Secrets: []entratest.Secret{{Value: OtherAppSecret}}, Roles: []string{"system~Patient.rs", "system~Observation.cruds"}},
			{ClientID: UserAppClientID, ObjectID: "2a2a2a2a-0000-4000-8000-0000000000a3", Secrets: []entratest.Secret{{Value: UserAppSecret}}},
		},
	})
	s := &Sandbox{
		Entra: authority,
		Sink:  sink,
		FHIR: &fhirtest.Server{
			Domain: fhirDomain, Authority: Authority, TenantID: TenantID, Validate: authority.Check, Healthy: entratest.Scenarios(),
		},
		root:     root,
		listener: listener,
	}
	authority.Removed = func(value string) bool { return value == RevocableSecret && s.revoked.Load() }
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // the scenarios fail on purpose
		TLSConfig:         &tls.Config{GetCertificate: choose(&certificate), MinVersion: tls.VersionTLS12},
	}
	go func() { _ = s.server.ServeTLS(listener, "", "") }() // returns only after Close, with an error that says so
	return s, nil
}

// choose returns the certificate for every name, except in the scenario tls-invalid, which shows
// one for another name.
func choose(certificate *tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if strings.HasPrefix(hello.ServerName, "tls-invalid.") {
			other, _, err := certify("invalid", "another.invalid")
			return &other, err
		}
		return certificate, nil
	}
}

// ServeHTTP passes a request to the server that its host names.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Host {
	case loginHost:
		s.Entra.ServeHTTP(w, r)
	case sinkHost:
		s.Sink.ServeHTTP(w, r)
	default:
		s.FHIR.ServeHTTP(w, r)
	}
}

// Intercept implements egress.Options.Intercept for the sandbox's names. A name below the zone
// that is not one of them does not exist, and is never looked up outside.
func (s *Sandbox) Intercept(host string) (dial func(context.Context) (net.Conn, error), ok bool) {
	host = strings.ToLower(host)
	if !strings.HasSuffix(host, "."+zone) {
		return nil, false
	}
	if dial, special := s.FHIR.Dials()[host]; special && dial != nil {
		return dial, true
	} else if special || host == loginHost || host == sinkHost || slices.Contains(s.FHIR.Hosts(), host) {
		return s.dial, true
	}
	return func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}, true
}

func (s *Sandbox) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", s.listener.Addr().String())
}

// Trust adds the sandbox's certification authority to pool. It is valid for names below the zone
// only.
func (s *Sandbox) Trust(pool *x509.CertPool) { pool.AddCert(s.root) }

// Owns reports whether a FHIR server is one of the sandbox's, by its host name alone.
func Owns(b fhir.BaseURL) bool { return strings.HasSuffix(b.Host(), "."+fhirDomain) }

// Kind returns the kind of a sandbox server, for verification.Verifier.
func (s *Sandbox) Kind(b fhir.BaseURL) fhir.Kind { return s.FHIR.Kind(b) }

// Close closes all connections.
func (s *Sandbox) Close() error {
	err := s.server.Close()
	for _, site := range s.sites {
		err = errors.Join(err, site.Close())
	}
	return err
}
