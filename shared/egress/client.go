package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrBlocked is in the chain of every error for a connection that the guard refused.
var ErrBlocked = errors.New("the address is not allowed")

// Limits of the client.
const (
	DialTimeout    = 5 * time.Second // TCP and DNS; TLS has as much again
	Timeout        = 20 * time.Second
	ConnsPerHost   = 64
	maxHeaderBytes = 64 << 10
)

// Options of a client. The zero Options reach public addresses only.
type Options struct {
	Allow []netip.Prefix // see ParseAllow: reachable on any port although not public

	// Intercept answers for names that are served inside this process: how to connect, and
	// true. It is asked before DNS and before the guard.
	Intercept func(host string) (dial func(context.Context) (net.Conn, error), ok bool)

	RootCAs  *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
}

// NewClient makes a client. One is enough for a program: it pools its connections.
func NewClient(o Options) *http.Client {
	// HTTP/1.1 only: a limit of connections per host is exact for it alone, and strangers'
	// servers get less of our code to play with.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Client{
		Timeout:       Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Protocols:              &protocols,
			DialContext:            o.dial(),
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    DialTimeout,
			ResponseHeaderTimeout:  15 * time.Second,
			IdleConnTimeout:        time.Minute,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    ConnsPerHost,
			MaxConnsPerHost:        ConnsPerHost,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (o Options) dial() dialFunc {
	dialer := &net.Dialer{Timeout: DialTimeout, Resolver: o.Resolver, ControlContext: guard(o.Allow)}
	if o.Intercept == nil {
		return dialer.DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if connect, ok := o.Intercept(host); ok {
			return connect(ctx)
		}
		return dialer.DialContext(ctx, network, address)
	}
}

// guard judges the address of a socket before it connects.
func guard(allow []netip.Prefix) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || (network != "tcp4" && network != "tcp6") {
			return fmt.Errorf("%w: not a TCP address", ErrBlocked)
		}
		if excepted(target.Addr(), allow) || target.Port() == 443 && public(target.Addr()) {
			return nil
		}
		return ErrBlocked // without the address: which one a name means inside is not for callers
	}
}
