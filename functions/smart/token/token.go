package token

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/launch"
)

// The limits of an authorization server, per minute and instance.
const (
	PerMinute         = 6_000
	FailuresPerMinute = 10 // of client authentication, per client; a right credential is never refused
)

const formType = "application/x-www-form-urlencoded"

// Handler serves the endpoints.
type Handler struct {
	// Launch is the part of [launch.Service] that hands out tokens.
	Launch interface {
		Client(ctx context.Context, slug, clientID string) (key string, err error)
		Token(ctx context.Context, slug string, authorization []string, form url.Values) (launch.TokenAnswer, error)
		Revoke(ctx context.Context, slug string, authorization []string, form url.Values) error
	}
	Limit, Failures *httpx.RateLimit // of PerMinute and FailuresPerMinute; nil: there is none
}

// Issue answers POST {issuer}/token.
func (h Handler) Issue(w http.ResponseWriter, r *http.Request) error {
	form, err := h.form(r)
	if err != nil {
		return err
	}
	answer, err := h.Launch.Token(r.Context(), r.PathValue("slug"), r.Header["Authorization"], form)
	if err != nil {
		return h.failed(r, form, err)
	}
	oauth.Write(w, answer)
	return nil
}

// Revoke answers POST {issuer}/revoke.
func (h Handler) Revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := h.form(r)
	if err != nil {
		return err
	}
	if err := h.Launch.Revoke(r.Context(), r.PathValue("slug"), r.Header["Authorization"], form); err != nil {
		return h.failed(r, form, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(http.StatusOK)
	return nil
}

// form reads the form of a request. The query is ignored: what is there ends up in logs.
func (h Handler) form(r *http.Request) (url.Values, error) {
	server, err := h.Launch.Client(r.Context(), r.PathValue("slug"), "")
	if err != nil { // before anything of the request is read
		return nil, err
	}
	if wait := h.Limit.Take(server); wait > 0 {
		return nil, &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "The apps of this organization send more requests than are allowed per minute. Try again after the time in Retry-After."}
	}
	if httpx.MediaType(r.Header) != formType {
		return nil, problem.New(problem.UnsupportedMediaType, "The Content-Type must be %s, and the parameters in the body.", formType)
	}
	data, err := httpx.ReadBody(r)
	if err != nil {
		return nil, err
	}
	form, err := httpx.ParseQuery(string(data))
	if err != nil {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Description: "The body is not a form: look for a percent sign that is not followed by two hexadecimal digits."}
	}
	return form, nil
}

// failed slows down who tries credentials.
func (h Handler) failed(r *http.Request, form url.Values, err error) error {
	var told *oauth.Error
	if !errors.As(err, &told) || told.Code != oauth.InvalidClient {
		return err
	}
	credentials, _ := client.Read(r.Header["Authorization"], form) // its error has been told
	key, unknown := h.Launch.Client(r.Context(), r.PathValue("slug"), credentials.ClientID)
	if unknown != nil {
		return err
	}
	if wait := h.Failures.Take(key); wait > 0 {
		return &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "Too many wrong client credentials. Correct them, and try again after the time in Retry-After."}
	}
	return err
}
