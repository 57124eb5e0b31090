package fhirtest

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"

	"fhirlink/shared/egress"
)

// Dials returns the host names that cannot be reached, with a function that fails accordingly. A
// nil function means TLS with a certificate for other names.
func (s *Server) Dials() map[string]func(context.Context) (net.Conn, error) {
	return map[string]func(context.Context) (net.Conn, error){
		"address-blocked." + s.Domain: fails(egress.ErrBlocked),
		"connect-refused." + s.Domain: fails(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"connect-timeout." + s.Domain: timesOut,
		"dns-not-found." + s.Domain:   fails(notFound("dns-not-found." + s.Domain)),
		"product-nowhere." + s.Domain: fails(notFound("product-nowhere." + s.Domain)),
		"dns-failed." + s.Domain:      fails(&net.DNSError{Err: "server misbehaving", Name: "dns-failed." + s.Domain, IsTemporary: true}),
		"tls-invalid." + s.Domain:     nil,
	}
}

func fails(err error) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) { return nil, dialError(err) }
}

func timesOut(ctx context.Context) (net.Conn, error) {
	select {
	case <-time.After(egress.DialTimeout):
		return nil, dialError(os.ErrDeadlineExceeded)
	case <-ctx.Done():
		return nil, dialError(ctx.Err())
	}
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func dialError(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
