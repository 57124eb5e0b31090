package entra

import (
	"context"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/secret"
)

// Credentials identify a client to the token endpoint (RFC 6749 §4.4).
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

// TokenSource requests tokens by client credentials. Every call makes a new request, because
// verification needs that; a caller that wants a cache keeps one itself. scope is
// "{audience}/.default".
//
// Errors: *Refusal when Entra answered with an error. *Unreachable when Entra did not answer, its
// answer was unusable, or the context ended.
type TokenSource interface {
	Token(ctx context.Context, c Credentials, scope string) (Token, error)
}

// AuthorizeURL is where an authority, https://{host}/, lets the users of a tenant sign in.
func AuthorizeURL(authority, tenant string) string {
	return authority + tenant + "/oauth2/v2.0/authorize"
}
