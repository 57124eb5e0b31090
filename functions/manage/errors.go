package manage

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/problem"
)

// headings are those of the errors that people meet; others have the title of their code.
var headings = map[problem.Code]view.English{
	problem.MalformedBody:        "The form cannot be read",
	problem.UnsupportedMediaType: "The form cannot be read",
	problem.TooManyLinks:         "Your organization has as many servers as it may have",
	problem.TooManyWebhooks:      "Your organization has as many webhooks as it may have",
	problem.WebhookNotFound:      "There is no such webhook",
	problem.NotFound:             "Page not found",
	problem.LinkNotFound:         "There is no such FHIR server",
	problem.ReportNotFound:       "No check is on record yet",
	problem.Unauthenticated:      "Sign in",
	problem.Forbidden:            "You may not do this",
	problem.MethodNotAllowed:     "This page does not take that",
	problem.BodyTooLarge:         "The form is too large",
	problem.TooManyRequests:      "Too many forms at once",
	problem.UpstreamUnavailable:  "Something is not available just now",
	problem.Internal:             "Something went wrong on our side",
	problem.ChangedMeanwhile:     "Nothing was done",
}

// shown is an error that a page of its own tells of: the form again, with what was typed.
type shown struct {
	error
	page view.Page
}

// Unwrap returns the error itself.
func (s *shown) Unwrap() error { return s.error }

// showing lets a page tell of an error. The status is the error's unless the page has one.
func showing(err error, p view.Page) error {
	e := problem.From(err)
	p.Status, p.RetryAfter, p.Mistakes = cmp.Or(p.Status, statusOf(e.Code)), e.RetryAfter, e.Code != problem.Unauthenticated
	return &shown{err, p}
}

// statusOf is the status of a code on pages: no page has an If-Match to be stale.
func statusOf(c problem.Code) int {
	if c == problem.ChangedMeanwhile {
		return http.StatusConflict
	}
	return c.Status()
}

// refusal says above a form why it was not taken, where neither a field nor a check says it. ok is
// false when the reason is no business of the form's.
func (h *Handler) refusal(words view.Words, p *problem.Error) (n *view.Notice, ok bool) {
	switch p.Code {
	case problem.TooManyLinks, problem.TooManyWebhooks, problem.WebhookNotFound, problem.UpstreamUnavailable, problem.TooManyRequests, problem.ChangedMeanwhile:
		return &view.Notice{Kind: "warning", Heading: words.Text(headingOf(p.Code)), Fix: p.Detail, Text: waiting(words, p.RetryAfter), Focus: true}, true
	}
	return nil, false
}

// withReason answers a form that was not taken with the page that it stands on, and why above it. Where
// the reason is no business of the page's, or the page cannot be made, err is the answer.
func (h *Handler) withReason(r *http.Request, err error, page func(*view.Notice) (view.Page, error)) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	n, ok := h.refusal(h.view.Words(r), p)
	if !ok {
		return err
	}
	shown, failed := page(n)
	if failed != nil {
		return err
	}
	return showing(err, shown)
}

// messagePage says one thing. Without links it leads to the first page.
func (h *Handler) messagePage(r *http.Request, v Visitor, m view.Message) view.Page {
	if m.Links == nil {
		m.Links = []view.Action{{Name: h.view.Words(r).Text("FHIR servers"), Href: "/api/manage/"}}
	}
	return view.Page{Template: "message", Heading: m.Heading, Account: account(v), Body: m}
}

// waiting says when to try again; empty: nothing is known.
func waiting(words view.Words, d time.Duration) string {
	switch seconds := int((d + time.Second - 1) / time.Second); {
	case seconds <= 0:
		return ""
	case seconds > 120:
		return words.Count((seconds+59)/60, "Try again in {n} minute.", "Try again in {n} minutes.")
	default:
		return words.Count(seconds, "Try again in {n} second.", "Try again in {n} seconds.")
	}
}

func headingOf(c problem.Code) view.English { return cmp.Or(headings[c], view.English(c.Title())) }

// WriteError answers with an error as a page, with the status that the JSON routes would have.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	view.Headers(w.Header(), h.secure)
	var s *shown
	if errors.As(err, &s) {
		if err := h.view.Write(w, r, s.page); err == nil {
			return
		}
	}
	p := problem.From(err)
	if p.Code == problem.MethodNotAllowed { // the router in front of this one knows no page
		p = problem.From(h.missing(r))
	}
	words := h.view.Words(r)
	m := view.Message{Heading: words.Text(headingOf(p.Code)), Detail: p.Detail}
	if p.Code == problem.LinkNotFound { // the same page for every slug
		m.Detail, m.Text = "", []string{words.Text("Check the address, or look for the server in the list.")}
	}
	if p.Code != problem.LinkNotFound && p.Code != problem.NotFound {
		m.Correlation = problem.Correlation(r.Context())
	}
	if text := waiting(words, p.RetryAfter); text != "" {
		m.Text = append(m.Text, text)
	}
	status := statusOf(p.Code)
	if p.Allow != nil {
		w.Header().Set("Allow", strings.Join(p.Allow, ", "))
	}
	page := h.messagePage(r, h.anybody(r), m)
	page.Mistakes, page.Status, page.RetryAfter = p.Code != problem.Unauthenticated, status, p.RetryAfter
	failed := h.view.Write(w, r, page)
	if failed != nil {
		http.Error(w, m.Heading, status)
	}
}
