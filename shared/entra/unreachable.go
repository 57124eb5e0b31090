package entra

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
)

// Unreachable means that the authority gave no usable answer.
type Unreachable struct {
	Reason string // safe to show: "timed out", "name not found", "answered 503 with a web page", …
	Status int    // of an unusable answer; 0 when there was no answer
	Cause  error  // for errors.Is; never printed
}

// Error returns one line that is safe to show. It does not quote the Cause.
func (u *Unreachable) Error() string { return "the authority could not be reached: " + u.Reason }

// Unwrap returns the Cause.
func (u *Unreachable) Unwrap() error { return u.Cause }

// NotReached returns why a request to the authority got no answer. ctx is the request's context.
// Its error takes precedence over cause, because not every client wraps it.
func NotReached(ctx context.Context, cause error) *Unreachable {
	if ctx.Err() != nil {
		cause = errors.Join(ctx.Err(), cause)
	}
	return &Unreachable{Reason: reason(cause), Cause: cause}
}

// NotUsable describes an answer that is neither a token nor an OAuth error.
func NotUsable(status int, body []byte) *Unreachable {
	what := "something else than JSON"
	switch body = bytes.TrimSpace(body); {
	case status >= 300 && status < 400:
		return &Unreachable{Reason: fmt.Sprintf("answered %d, a redirect, which is never followed", status), Status: status}
	case len(body) == 0:
		what = "nothing"
	case body[0] == '<':
		what = "a web page"
	case body[0] == '{', body[0] == '[':
		what = "JSON of another shape"
	}
	return &Unreachable{Reason: fmt.Sprintf("answered %d with %s", status, what), Status: status}
}

func reason(err error) string {
	var (
		timeout     net.Error
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &dns):
		return "name not found"
	case errors.As(err, &certificate), errors.As(err, &authority):
		return "its certificate is not trusted"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	}
	return "the connection failed"
}
