package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"fhirlink/functions/smart/page"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth/launch"
)

// MaxForm is the size of the largest request, in bytes.
const MaxForm = 16 << 10

// PerMinute is how many requests an app of a link may make in a minute, per instance.
const PerMinute = 600

const formType = "application/x-www-form-urlencoded"

// Handler serves the endpoints.
type Handler struct {
	// Launch is the part of [launch.Service] that signs users in.
	Launch interface {
		Client(ctx context.Context, slug, clientID string) (key string, err error)
		Authorize(ctx context.Context, slug string, values url.Values) (launch.Begun, error)
		Callback(ctx context.Context, slug string, query url.Values, cookie func(name string) string) (launch.Answered, error)
	}
	Limit *httpx.RateLimit // of PerMinute; nil: there is none
}

// Authorize sends the user to Entra.
func (h Handler) Authorize(w http.ResponseWriter, r *http.Request) error {
	slug := r.PathValue("slug")
	if _, err := h.Launch.Client(r.Context(), slug, ""); err != nil { // before anything of the request is read
		return err
	}
	values, err := parameters(r)
	if err != nil {
		return err
	}
	client, err := h.Launch.Client(r.Context(), slug, values.Get("client_id"))
	if err != nil {
		return err
	}
	if wait := h.Limit.Take(client); wait > 0 {
		return &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "Too many users of this app sign in at once."}
	}
	begun, err := h.Launch.Authorize(r.Context(), slug, values)
	if err != nil {
		return err
	}
	http.SetCookie(w, begun.Cookie)
	page.Redirect(w, begun.URL)
	return nil
}

// parameters are those of the query of a GET, or of the form of a POST.
func parameters(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return httpx.ParseQuery(r.URL.RawQuery)
	}
	if httpx.MediaType(r.Header) != formType {
		return nil, problem.New(problem.UnsupportedMediaType, "Send %s.", formType)
	}
	data, err := httpx.ReadBody(r)
	if err != nil {
		return nil, err
	}
	return httpx.ParseQuery(string(data))
}

// Callback sends the user back to the app.
func (h Handler) Callback(w http.ResponseWriter, r *http.Request) error {
	query, err := httpx.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	answered, err := h.Launch.Callback(r.Context(), r.PathValue("slug"), query, func(name string) string {
		if cookie, err := r.Cookie(name); err == nil {
			return cookie.Value
		}
		return ""
	})
	var refused *launch.Refused
	if cleared := launch.Clear(query.Get("state")); cleared != nil && (err == nil || errors.As(err, &refused)) {
		http.SetCookie(w, cleared)
	}
	if err != nil {
		return err
	}
	page.Redirect(w, answered.Location)
	return nil
}
