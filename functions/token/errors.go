package token

import (
	"errors"
	"net/http"
	"time"

	"fhirlink/shared/link/tokens"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// WriteError answers with err in the form of RFC 6749 §5.2.
func WriteError(w http.ResponseWriter, _ *http.Request, err error) { errorOf(err).Write(w) }

// CodeOf returns the error code that WriteError answers with.
func CodeOf(err error) string { return errorOf(err).Code }

// codes are the OAuth codes for problems that this route can meet. A problem keeps its status,
// except for 404 and 422, which RFC 6749 §5.2 makes 400.
var codes = map[problem.Code]string{
	problem.MalformedBody:        oauth.InvalidRequest,
	problem.BodyTooLarge:         oauth.InvalidRequest,
	problem.UnsupportedMediaType: oauth.InvalidRequest,
	problem.MethodNotAllowed:     oauth.InvalidRequest,
	problem.NotFound:             oauth.InvalidRequest,
	problem.LinkNotFound:         oauth.InvalidTarget,
	problem.InvalidFields:        oauth.InvalidTarget, // the slug is the only field
	problem.Unauthenticated:      oauth.InvalidToken,
	problem.Forbidden:            oauth.InsufficientScope,
	problem.UpstreamUnavailable:  oauth.Unavailable,
	problem.TooManyRequests:      oauth.Unavailable,
}

func errorOf(err error) *oauth.Error {
	var (
		told    *oauth.Error
		refused *tokens.Refused
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &refused):
		return &oauth.Error{Code: oauth.InvalidGrant, Description: refused.Message + " " + refused.Fix, Cause: err}
	}
	return translate(problem.From(err))
}

func translate(p *problem.Error) *oauth.Error {
	code, ok := codes[p.Code]
	if !ok {
		return &oauth.Error{
			Code: oauth.ServerError, Status: http.StatusInternalServerError, Cause: p,
			Description: "The request could not be answered because of a fault on our side. Try again later.",
		}
	}
	e := &oauth.Error{Code: code, Description: p.Detail, Status: p.Code.Status(), RetryAfter: p.RetryAfter, Allow: p.Allow, Challenge: p.Challenge, Cause: p}
	switch p.Code {
	case problem.LinkNotFound, problem.InvalidFields:
		e.Status = http.StatusBadRequest
		e.Description = "There is no link with this slug for you. Check the slug; links of other organizations cannot be seen."
	case problem.Unauthenticated:
		// Without a token the challenge has no error code, because RFC 6750 §3.1 wants none. The
		// body has one all the same: RFC 6749 §5.2 requires a code in every error of a token
		// endpoint, and lists "no client authentication included" under this one.
		if e.Challenge = p.WWWAuthenticate(); e.Challenge == oauth.Bearer {
			e.Code = oauth.InvalidClient
		}
	case problem.UpstreamUnavailable, problem.TooManyRequests:
		e.RetryAfter = max(e.RetryAfter, time.Second)
	}
	return e
}
