// Package entra knows Microsoft Entra ID: what a client credential is, what its token
// endpoint answers and means (AADSTS numbers as typed refusals with a fix), and how the
// access tokens of our own callers are validated. It imports no SDK; package clientcred is
// the driver over azidentity, package entratest the fake authority for tests and sandbox.
package entra

import (
	"context"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/secret"
)

// Credentials are what the token endpoint is asked with (RFC 6749 §4.4).
type Credentials struct {
	Authority string // e.g. https://login.microsoftonline.com/; configured, never discovered
	TenantID  string // GUID, lower case
	ClientID  string // GUID, lower case

	Credential credential.Credential
}

// Token is an access token for one resource.
type Token struct {
	Access    secret.Value
	ExpiresOn time.Time
}

// TokenSource asks the authority for a token by client credentials. Every call asks anew:
// nothing is remembered between calls, which is what verification needs; caching is the
// caller's. scope is "{audience}/.default".
//
// Errors: *Refusal when Entra answered with an error, *Unreachable when it did not answer,
// answered nonsense, or the context ended.
type TokenSource interface {
	Token(ctx context.Context, c Credentials, scope string) (Token, error)
}
