package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/launch"
)

//go:embed page.html
var source string

//go:embed style.css
var style string

// parsed is the template, which is parsed when the first page is needed.
var parsed = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(source)) })

// policy keeps everything from a page but its own style.
var policy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
})

// Headers are those of every answer to a browser that signs in, redirects included.
func Headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
}

// Redirect sends the browser to an address by GET, whatever the method of the request was.
func Redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// message is what a page says.
type message struct {
	status        int
	code          string
	Heading, Text string
	Correlation   string
	Style         template.CSS
}

// byProblem are the pages about problems that the routes have in common.
var byProblem = map[problem.Code]message{
	problem.BodyTooLarge:         {code: "request_too_large", Heading: "The app sent too much", Text: "The app's request is larger than 16 kB. Tell the app's maker: fewer scopes, or wildcards, make it smaller."},
	problem.TooManyRequests:      {code: "too_many_requests", Heading: "Too many people sign in at once", Text: "Wait a minute, go back to the app, and begin again there."},
	problem.UpstreamUnavailable:  {Heading: "Something is not available just now", Text: "Wait a minute, go back to the app, and begin again there."},
	problem.MethodNotAllowed:     {code: "malformed_request", Heading: "The app's request is malformed", Text: "The app used a method that this address does not take. Tell the app's maker."},
	problem.UnsupportedMediaType: {code: "malformed_request", Heading: "The app's request is malformed", Text: "The app's request is no form. Tell the app's maker."},
	problem.MalformedBody:        {code: "malformed_request", Heading: "The app's request is malformed", Text: "The app's request cannot be read. Tell the app's maker."},
	problem.InvalidFields:        {code: "malformed_request", status: http.StatusBadRequest, Heading: "The app's request is malformed", Text: "The app's request cannot be read. Tell the app's maker."},
	problem.Internal:             {Heading: "Something went wrong on our side", Text: "Go back to the app, and begin again there. If it happens again, tell the organization, with the number below."},
}

// headings are those of the errors of a launch.
var headings = map[string]string{
	"unknown_app":          "This app is not registered",
	"app_disabled":         "This app is switched off",
	"unknown_redirect_uri": "The app's address is not registered",
	"malformed_request":    "The app's request is malformed",
	"browser_mismatch":     "This is not the browser in which you began",
	"request_expired":      "The sign-in took too long",
	"already_used":         "This sign-in is over",
}

// messageOf is what a page says of an error.
func messageOf(err error) message {
	var shown *launch.Shown
	switch {
	case errors.As(err, &shown):
		return message{status: http.StatusBadRequest, code: shown.Code, Heading: headings[shown.Code], Text: shown.Detail}
	case errors.Is(err, smartauth.ErrUnknown):
		return message{status: http.StatusNotFound, code: "unknown_link", Heading: "There is nothing to sign in to here", Text: "The app uses an address that no organization has. Tell the app's maker, or the organization."}
	}
	p := problem.From(err)
	m, known := byProblem[p.Code]
	if !known {
		m = message{Heading: "This is not possible", Text: p.Detail}
	}
	m.status, m.code = cmp.Or(m.status, p.Code.Status()), cmp.Or(m.code, string(p.Code))
	return m
}

// CodeOf returns the code of the page that WriteError answers with, or the OAuth error that it sends the
// browser back to the app with.
func CodeOf(err error) string {
	var refused *launch.Refused
	if errors.As(err, &refused) {
		return refused.Code
	}
	return messageOf(err).code
}

// WriteError tells of an error: at the app's redirect URI where that is known to be the app's, else on a
// page.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var refused *launch.Refused
	if errors.As(err, &refused) {
		Redirect(w, refused.Location())
		return
	}
	m := messageOf(err)
	m.Correlation, m.Style = problem.Correlation(r.Context()), template.CSS(style) //nolint:gosec // it is part of the program
	var body bytes.Buffer
	if err := parsed().Execute(&body, m); err != nil {
		panic(err) // a mistake in the template
	}
	h := w.Header()
	Headers(w)
	h.Set("Content-Security-Policy", policy())
	h.Set("X-Frame-Options", "DENY")
	if p := problem.From(err); p.RetryAfter > 0 && m.status >= http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if p := problem.From(err); len(p.Allow) > 0 {
		h.Set("Allow", strings.Join(p.Allow, ", "))
	}
	eventlog.Current(r.Context()).End(m.code)
	httpx.WriteBytes(w, m.status, "text/html; charset=utf-8", body.Bytes())
}
