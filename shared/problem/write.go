package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem (RFC 9457 §3).
const ContentType = "application/problem+json"

// body is the JSON of RFC 9457 §3.1 with our extension members.
type body struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Code     Code    `json:"code"`
	Instance string  `json:"instance"`
	Errors   []Field `json:"errors,omitempty"`
	Report   any     `json:"report,omitempty"`
	Results  any     `json:"results,omitempty"`
}

// From returns the Error in err's chain. If there is none, or it is Internal, From returns an
// Internal error that keeps err as its cause and reveals nothing of it.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil && e.Code != Internal {
		return e
	}
	return &Error{
		Code:   Internal,
		Detail: "The request could not be completed because of a fault on our side. Give the instance to support if it happens again.",
		Cause:  err,
	}
}

// Write answers r with err. If err is not an *Error, or is Internal, the answer holds only the
// correlation id. Write does not log the cause; the caller does.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	e := From(err)
	e.headers(w.Header())

	id := Correlation(r.Context())
	if id == "" {
		id = NewCorrelation()
	}
	payload, err := encode(body{
		Type: "urn:fhirlink:problem:" + string(e.Code), Title: e.Code.Title(), Status: e.Code.Status(),
		Detail: e.Detail, Code: e.Code, Instance: "urn:uuid:" + id,
		Errors: e.Fields, Report: e.Report, Results: e.Results,
	})
	if err != nil { // a Report or Results that JSON cannot hold
		Write(w, r, err)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
	w.WriteHeader(e.Code.Status())
	_, _ = w.Write(payload) // the client is gone
}

// encode does not escape & < >: the answer is never part of HTML, and people read it.
func encode(v body) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (e *Error) headers(h http.Header) {
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfterSeconds(e.RetryAfter))
	}
	if e.Code == MethodNotAllowed {
		h.Set("Allow", strings.Join(e.Allow, ", "))
	}
	if challenge := e.WWWAuthenticate(); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
}

// WWWAuthenticate returns the header that RFC 9110 §11.6.1 requires on every 401, or "" for none.
func (e *Error) WWWAuthenticate() string {
	if e.Code == Unauthenticated && e.Challenge == "" {
		return "Bearer"
	}
	return e.Challenge
}

// RetryAfterSeconds formats d for a Retry-After header (RFC 9110 §10.2.3): whole seconds, rounded
// up, at least 1.
func RetryAfterSeconds(d time.Duration) string {
	seconds := int64((d + time.Second - 1) / time.Second)
	return strconv.FormatInt(max(seconds, 1), 10)
}
