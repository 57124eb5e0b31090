package caller

import (
	"context"
	"errors"
	"net/http"
)

// Caller is who calls the API. Package entra makes it of a validated access token.
type Caller struct {
	Organization string // tid, lower case
	ObjectID     string // oid of the user or service principal; for logs, no right depends on it
	AppID        string // client id of the calling application
	App          bool   // an application by itself: the token has no scp
	Operator     bool   // of the tenant that runs this service
	Scopes       []string
	Roles        []string
}

// Authenticator finds out who sent a request.
//
// Errors: ErrNone, *Refused, and what kept the Authenticator from finding out.
type Authenticator interface {
	Authenticate(r *http.Request) (Caller, error)
}

// ErrNone means that a request says nothing about who sent it.
var ErrNone = errors.New("no bearer token")

// Refused means that what a request says about its sender is not good: invalid_token of
// RFC 6750 §3.1.
type Refused struct {
	Reason string // fit for error_description: ASCII without quotes and backslashes
}

func (e *Refused) Error() string { return e.Reason }

type key struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the caller that the context carries. There is none when the timer works.
func From(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(key{}).(Caller)
	return c, ok
}

// Organization is the organization of the caller that the context carries; empty without one.
// Behind a route that needs more than [Open] there always is one.
func Organization(ctx context.Context) string {
	c, _ := From(ctx)
	return c.Organization
}
