package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

// Failure is the reason why a request got no answer.
type Failure string

// The failures.
const (
	AddressBlocked   Failure = "address_blocked"
	DNSNotFound      Failure = "dns_not_found" // the name does not exist
	DNSFailed        Failure = "dns_failed"    // the name servers did not answer
	TLSInvalid       Failure = "tls_invalid"
	ConnectRefused   Failure = "connect_refused"
	ConnectTimeout   Failure = "connect_timeout"
	ConnectionBroken Failure = "connection_broken" // anything else
)

// FailureOf classifies the error of a client's request. The text of err must not leave the
// program: it may hold addresses of this network.
func FailureOf(err error) Failure {
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrBlocked):
		return AddressBlocked
	case errors.As(err, &dns) && dns.IsNotFound:
		return DNSNotFound
	case errors.As(err, &dns):
		return DNSFailed
	case isTLS(err):
		return TLSInvalid
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectRefused
	case TimedOut(err):
		return ConnectTimeout
	}
	return ConnectionBroken
}

// isTLS reports whether err is a failed handshake. Some of these errors have no type: crypto/tls
// says "tls: …" for a version or cipher that it does not support, and net/http says "HTTP
// response to HTTPS client" for a server without TLS.
func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) ||
		strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "HTTP response to HTTPS client")
}

// TimedOut reports whether err is a timeout.
func TimedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
