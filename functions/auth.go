package functions

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// Right is what a caller needs for a route.
type Right int

// The rights.
const (
	Open      Right = iota // nothing: no token is even looked at
	AnyCaller              // any valid token
	Manage                 // to manage the links of the caller's organization
	Token                  // to have tokens for links
)

// heldBy tells whether the caller has the right.
func (right Right) heldBy(c entra.Caller) bool {
	switch right {
	case Open, AnyCaller:
		return true
	case Manage:
		return c.MayManage()
	case Token:
		return c.MayToken()
	}
	return false
}

// needs says in words and in scopes what the right is given by.
func (right Right) needs() (words, scope string) {
	if right == Token {
		return "This needs an application with the role Links.Token.All, signed in as itself; users cannot have tokens for links. " +
			"An administrator grants the role under API permissions of the app registration.", "Links.Token.All"
	}
	return "This needs a user with the scope Links.Manage and the role Links.Administrator, " +
		"or an application with the role Links.Manage.All. An administrator assigns the roles under Enterprise applications.", "Links.Manage"
}

// Authenticator tells who sent a request.
//
// Errors: ErrNoToken, *entra.CallerError, *entra.Unreachable.
type Authenticator interface {
	Authenticate(r *http.Request) (entra.Caller, error)
}

// ErrNoToken means that a request has no bearer token at all.
var ErrNoToken = errors.New("no bearer token")

// Bearer takes the access token out of the Authorization header (RFC 6750 §2.1) and out of
// nothing else.
type Bearer struct {
	Callers interface {
		Authenticate(ctx context.Context, bearer string) (entra.Caller, error)
	}
}

// Authenticate validates the request's token.
func (b Bearer) Authenticate(r *http.Request) (entra.Caller, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return entra.Caller{}, ErrNoToken
	}
	if len(values) > 1 {
		return entra.Caller{}, &entra.CallerError{Reason: "the request has more than one Authorization header"}
	}
	scheme, bearer, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if !strings.EqualFold(scheme, oauth.Bearer) {
		return entra.Caller{}, ErrNoToken
	}
	bearer = strings.TrimLeft(bearer, " ")
	if bearer == "" || strings.ContainsAny(bearer, " ,\t") {
		return entra.Caller{}, &entra.CallerError{Reason: "the Authorization header does not have the form Bearer <access token>"}
	}
	return b.Callers.Authenticate(r.Context(), bearer)
}

// authorized lets callers through who have the route's right and are within its limit.
func (d Deps) authorized(route Route) httpx.HandlerFunc {
	if route.Right == Open {
		return route.handle
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		caller, err := d.Callers.Authenticate(r)
		if err != nil {
			return unauthenticated(err)
		}
		if !route.Right.heldBy(caller) {
			return forbidden(route.Right)
		}
		if route.Limited {
			if wait := d.Limits.Take(caller.Organization); wait > 0 {
				return tooMany(wait)
			}
		}
		return route.handle(w, r.WithContext(entra.WithCaller(r.Context(), caller)))
	}
}

// keysRetry is how long a client should wait when the authority's signing keys cannot be had.
const keysRetry = 10 * time.Second

func unauthenticated(err error) error {
	var (
		refused     *entra.CallerError
		unreachable *entra.Unreachable
	)
	switch {
	case errors.Is(err, ErrNoToken):
		return &problem.Error{
			Code: problem.Unauthenticated, Challenge: oauth.Bearer,
			Detail: "Sign in: send an Entra access token for this API as Authorization: Bearer <token>.",
		}
	case errors.As(err, &refused):
		return &problem.Error{
			Code: problem.Unauthenticated, Challenge: oauth.Challenge(oauth.InvalidToken, refused.Reason, ""),
			Detail: "The access token is not accepted: " + refused.Reason + ". Get a new one and send it as Authorization: Bearer <token>.",
		}
	case errors.As(err, &unreachable):
		return problem.Unavailable(err, keysRetry,
			"The access token cannot be checked now because the authority's signing keys could not be fetched (%s). Try again later.", unreachable.Reason)
	}
	return err
}

func forbidden(right Right) error {
	words, scope := right.needs()
	return &problem.Error{
		Code: problem.Forbidden, Detail: words,
		Challenge: oauth.Challenge(oauth.InsufficientScope, words, scope),
	}
}

func tooMany(wait time.Duration) error {
	return &problem.Error{
		Code: problem.TooManyRequests, RetryAfter: wait,
		Detail: "Your organization has sent more requests of this kind than are allowed per minute. Try again after the time in Retry-After.",
	}
}
