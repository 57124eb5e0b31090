package keyvault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

var (
	errIncomplete = errors.New("the answer is incomplete")

	versionID = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)
	errorCode = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)
)

// explain maps an error of the SDK to an error of package secret. It keeps only the status and
// the codes, because the SDK's text contains whole answers.
func explain(ctx context.Context, doing, name string, err error) error {
	switch code := status(err); {
	case ctx.Err() != nil:
		return wrap(doing, name, fmt.Errorf("%w: %w", secret.ErrUnavailable, ctx.Err()), nil)
	case code == http.StatusNotFound, code == http.StatusForbidden && codeOf(err) == "SecretDisabled":
		return wrap(doing, name, secret.ErrNotFound, err)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		refused := fmt.Errorf("%w: the vault refuses this service's identity; give it the role Key Vault Secrets Officer and network access", secret.ErrUnavailable)
		return wrap(doing, name, &problem.Upstream{Denied: true, Err: refused}, err)
	case code == http.StatusBadRequest:
		return wrap(doing, name, errors.New("the vault finds the request malformed"), err)
	case code != 0:
		return wrap(doing, name, &problem.Upstream{RetryAfter: retryAfter(err), Err: secret.ErrUnavailable}, err)
	}
	return wrap(doing, name, fmt.Errorf("%w: %s", secret.ErrUnavailable, reason(err)), nil)
}

// wrap describes what was done to which secret. answer, unless nil, adds its status and code.
func wrap(doing, name string, kind, answer error) error {
	if answer == nil {
		return fmt.Errorf("%s key vault secret %s: %w", doing, name, kind)
	}
	return fmt.Errorf("%s key vault secret %s: %w (%d %s)", doing, name, kind, status(answer), codeOf(answer))
}

// status returns the HTTP status of the vault's answer; 0 when err is nil or there was no answer.
func status(err error) int {
	var r *azcore.ResponseError
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}

// retryAfter returns the Retry-After of the vault's answer; 0 when it has none.
func retryAfter(err error) time.Duration {
	var r *azcore.ResponseError
	if !errors.As(err, &r) || r.RawResponse == nil {
		return 0
	}
	return problem.RetryAfter(r.RawResponse.Header)
}

// codeOf returns the innermost code of the vault's error: "Conflict" says less than its
// innererror "ObjectIsDeletedButRecoverable".
func codeOf(err error) string {
	var r *azcore.ResponseError
	if !errors.As(err, &r) {
		return ""
	}
	var wire struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if r.RawResponse != nil {
		if body, err := runtime.Payload(r.RawResponse); err == nil {
			_ = json.Unmarshal(body, &wire) // without an innererror the outer code is used
		}
	}
	for _, code := range []string{wire.Error.Inner.Code, r.ErrorCode} {
		if errorCode.MatchString(code) {
			return code
		}
	}
	return "without a code"
}

func reason(err error) string {
	var (
		identity *azidentity.AuthenticationFailedError
		noID     interface{ NonRetriable() }
		dns      *net.DNSError
		network  net.Error
	)
	switch {
	case errors.As(err, &identity):
		return "this service's own identity got no token"
	case errors.As(err, &dns):
		return "its name is not found"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "it did not answer in time"
	case errors.Is(err, errIncomplete):
		return errIncomplete.Error()
	case errors.As(err, &noID):
		return "no identity is available to this service, or the vault's challenge does not match its URL"
	}
	return "the connection failed"
}
