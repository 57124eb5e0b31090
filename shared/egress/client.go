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

// ErrBlocked is wrapped by every error for a connection that the guard refused.
var ErrBlocked = errors.New("the address is not allowed")

// Limits of the client.
const (
	DialTimeout    = 5 * time.Second // TCP and DNS; TLS has the same again
	Timeout        = 20 * time.Second
	ConnsPerHost   = 64
	maxHeaderBytes = 64 << 10
)

// Options configure a client. The zero Options allow public addresses only.
type Options struct {
	Allow []netip.Prefix // see ParseAllow: reachable on any port, although not public

	// Intercept returns how to connect to a name that is served inside this process, and true. It
	// is called before DNS and before the guard.
	Intercept func(host string) (dial func(context.Context) (net.Conn, error), ok bool)

	RootCAs  *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
}

// NewClient returns a client. A program needs only one: it pools its connections.
func NewClient(o Options) *http.Client {
	// HTTP/1.1 only: the limit of connections per host is exact only for HTTP/1.1, and unknown
	// servers reach less of our code.
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

// guard checks the address of a socket before it connects.
func guard(allow []netip.Prefix) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || (network != "tcp4" && network != "tcp6") {
			return fmt.Errorf("%w: not a TCP address", ErrBlocked)
		}
		if excepted(target.Addr(), allow) || target.Port() == 443 && public(target.Addr()) {
			return nil
		}
		return ErrBlocked // without the address: callers must not learn what a name resolves to inside
	}
}
