package entra

import (
	"context"
	"net/http"
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

// Refused returns how Entra refuses credentials that need not be sent to know it, or nil. A tenant
// id that is no GUID would also change the path of a request.
func (c Credentials) Refused() *Refusal {
	switch {
	case !IsGUID(c.TenantID):
		return &Refusal{HTTPStatus: http.StatusBadRequest, OAuthError: "invalid_request", Number: 900023, Sentence: "The tenant id is not a GUID."}
	case c.Credential == nil || c.Credential.Text().IsZero():
		return &Refusal{HTTPStatus: http.StatusUnauthorized, OAuthError: "invalid_client", Number: 7000218, Sentence: "The client secret is empty."}
	}
	return nil
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

// UserTokens is what the token endpoint answers for a user who has signed in. A token that is not in
// the answer is zero.
type UserTokens struct {
	ID, Access, Refresh secret.Value
	Scope               string    // as Entra writes it: all consented scopes of the client, prefixed with the resource
	ExpiresOn           time.Time // of Access
}

// SignIns redeems what the sign-ins of users at an application end with (RFC 6749 §4.1.3, §6). A
// code is good for one call, whatever that call returns.
//
// Errors: *Refusal when Entra answered with an error. *Unreachable when Entra did not answer, its
// answer was unusable, or the context ended.
type SignIns interface {
	// Redeem exchanges a code. verifier (RFC 7636) and redirectURI belong to the request that the
	// code answers.
	Redeem(ctx context.Context, c Credentials, code, verifier secret.Value, redirectURI string) (UserTokens, error)
	// Refresh exchanges a refresh token, which stays good beside the one in the answer. scope says for which resource the
	// access token is: a refresh token is tied to none. The first one decides
	// (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token).
	Refresh(ctx context.Context, c Credentials, refreshToken secret.Value, scope string) (UserTokens, error)
}

// AuthorizeURL is where an authority, https://{host}/, lets the users of a tenant sign in.
func AuthorizeURL(authority, tenant string) string {
	return authority + tenant + "/oauth2/v2.0/authorize"
}
