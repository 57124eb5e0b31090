package signin

import (
	"context"
	"net/url"

	"fhirlink/shared/entra"
)

// Flow is how the authority answers a sign-in.
type Flow interface {
	// Parameters are response_type, response_mode, and what else the flow adds to the request.
	Parameters() url.Values
	// Person returns who has signed in, by the members of an answer without an error. The errors are
	// those of entra.IDTokens.
	Person(ctx context.Context, answer url.Values, nonce string) (entra.Person, error)
}

// IDToken is the flow in which the browser brings an ID token (OpenID Connect Core §3.2, with OAuth 2.0
// Form Post Response Mode). It needs no secret, and no access token ever reaches the browser.
type IDToken struct {
	Tokens interface {
		Validate(ctx context.Context, token, nonce string) (entra.Person, error)
	}
}

// Parameters implements Flow.
func (IDToken) Parameters() url.Values {
	return url.Values{"response_type": {"id_token"}, "response_mode": {"form_post"}}
}

// Person implements Flow.
func (f IDToken) Person(ctx context.Context, answer url.Values, nonce string) (entra.Person, error) {
	return f.Tokens.Validate(ctx, answer.Get("id_token"), nonce)
}
