package functions

import (
	"errors"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// authorized lets a caller through who has the route's right and is within the rate limit.
func (d Deps) authorized(route Route) httpx.HandlerFunc {
	handle := checkingQuery(route)
	if route.Right == caller.Open || route.Right == caller.FunctionsHost { // resource checks the latter
		return handle
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if route.Ahead != nil {
			r = route.Ahead(r)
		}
		from, err := d.Callers.Authenticate(r)
		if err != nil {
			return unauthenticated(err)
		}
		if !route.Right.HeldBy(from) {
			return forbidden(route.Right)
		}
		if wait := d.wait(route, from.Organization); wait > 0 {
			return tooMany(wait)
		}
		return handle(w, r.WithContext(caller.With(r.Context(), from)))
	}
}

// wait is how long a request must wait for the rate limit; 0 if it need not.
func (d Deps) wait(route Route, organization string) time.Duration {
	switch route.Rate {
	case Unlimited:
		return 0
	case Apart:
		return d.Limits.Take(organization + " " + route.Function)
	}
	return d.Limits.Take(organization)
}

// keysRetry is how long a client should wait when the authority's signing keys cannot be
// fetched.
const keysRetry = 10 * time.Second

func unauthenticated(err error) error {
	var (
		refused     *caller.Refused
		unreachable *entra.Unreachable
	)
	switch {
	case errors.Is(err, caller.ErrNone):
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

func forbidden(right caller.Right) error {
	words, scope := right.Needs()
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
