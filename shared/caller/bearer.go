package caller

import (
	"context"
	"net/http"
	"strings"

	"fhirlink/shared/oauth"
)

// Bearer is an [Authenticator] that takes the access token from the Authorization header (RFC
// 6750 §2.1) and from nowhere else.
type Bearer struct {
	Tokens Validator
}

// Validator validates an access token; entra.AccessTokens implements it.
type Validator interface {
	Validate(ctx context.Context, token string) (Caller, error)
}

// Authenticate validates the request's token.
func (b Bearer) Authenticate(r *http.Request) (Caller, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return Caller{}, ErrNone
	}
	if len(values) > 1 {
		return Caller{}, &Refused{Reason: "the request has more than one Authorization header"}
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if !strings.EqualFold(scheme, oauth.Bearer) {
		return Caller{}, ErrNone
	}
	token = strings.TrimLeft(token, " ")
	if token == "" || strings.ContainsAny(token, " ,\t") {
		return Caller{}, &Refused{Reason: "the Authorization header does not have the form Bearer <access token>"}
	}
	return b.Tokens.Validate(r.Context(), token)
}
