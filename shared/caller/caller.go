package caller

import (
	"context"
	"errors"
	"net/http"
)

// Caller is the caller of the API. Package entra derives it from a validated access token.
type Caller struct {
	Organization string // tid, lower case
	ObjectID     string // oid of the user or service principal; for logs only
	AppID        string // client id of the calling application
	App          bool   // an application acting for itself: the token has no scp
	Operator     bool   // from the tenant that runs this service
	Scopes       []string
	Roles        []string

	Name  string // for people, from the token's claim name; empty if it has none
	Local bool   // nobody signed in: the program serves its own machine only (cmd/local)
}

// Kind says what a caller is.
type Kind string

// The kinds of callers.
const (
	User        Kind = "user"
	Application Kind = "application"
	Local       Kind = "local"
)

// Kind returns what the caller is.
func (c Caller) Kind() Kind {
	switch {
	case c.Local:
		return Local
	case c.App:
		return Application
	}
	return User
}

// Authenticator determines who sent a request.
//
// The error is ErrNone, a *Refused, or the reason why the Authenticator could not decide.
type Authenticator interface {
	Authenticate(r *http.Request) (Caller, error)
}

// ErrNone means that a request carries no credentials.
var ErrNone = errors.New("no bearer token")

// Refused means that a request's credentials are not valid: invalid_token of RFC 6750 §3.1.
type Refused struct {
	Reason string // fit for error_description: ASCII without quotes and backslashes
}

// Error returns the reason.
func (e *Refused) Error() string { return e.Reason }

type key struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the caller that the context carries. The timer's work has no caller.
func From(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(key{}).(Caller)
	return c, ok
}

// Organization returns the organization of the context's caller, or "" without a caller. Behind a
// route that needs more than [Open] there always is one.
func Organization(ctx context.Context) string {
	c, _ := From(ctx)
	return c.Organization
}
