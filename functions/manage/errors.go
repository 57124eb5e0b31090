package manage

import (
	"net/http"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/problem"
)

// message is the body of a page that says one thing.
type message struct {
	Heading     string
	Text        []string // in the language of the page
	Detail      string   // in English
	Links       []action
	Correlation string
}

type action struct{ Name, Href string }

// headings are those of the errors that people meet; others have the title of their code.
var headings = map[problem.Code]string{
	problem.NotFound:            "Page not found",
	problem.LinkNotFound:        "There is no such FHIR server",
	problem.ReportNotFound:      "No check is on record yet",
	problem.Unauthenticated:     "Sign in",
	problem.Forbidden:           "You may not do this",
	problem.MethodNotAllowed:    "This page does not take that",
	problem.BodyTooLarge:        "The form is too large",
	problem.TooManyRequests:     "Too many forms at once",
	problem.UpstreamUnavailable: "Something is not available just now",
	problem.Internal:            "Something went wrong on our side",
	problem.ChangedMeanwhile:    "Nothing was done",
}

// WriteError answers with an error as a page, with the status that the JSON routes would have.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	words := h.view.Words(r)
	heading := headings[p.Code]
	if heading == "" {
		heading = p.Code.Title()
	}
	m := message{Heading: words.Text(heading), Detail: p.Detail, Links: []action{{words.Text("FHIR servers"), "/api/manage/"}}}
	if p.Code == problem.LinkNotFound { // the same page for every slug
		m.Detail = "Check the address, or look for the server in the list."
	}
	if p.Code != problem.LinkNotFound && p.Code != problem.NotFound {
		m.Correlation = problem.Correlation(r.Context())
	}
	status := p.Code.Status()
	if p.Code == problem.ChangedMeanwhile {
		status = http.StatusConflict
	}
	view.Headers(w.Header())
	for _, method := range p.Allow {
		w.Header().Add("Allow", method)
	}
	v := Visitor{}
	if h.SignIn != nil {
		v, _ = h.SignIn.Visitor(r)
	}
	failed := h.view.Write(w, r, view.Page{Template: "message", Heading: m.Heading, Mistakes: true, Account: account(v), Body: m, Status: status, RetryAfter: p.RetryAfter})
	if failed != nil {
		http.Error(w, m.Heading, status)
	}
}
