package manage

import (
	"net/http"
	"strconv"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// shownCheck is a check as the template "checks" shows it. The API's texts are English.
type shownCheck struct {
	Kind, Icon, Word             string
	Title, Message, Fix, Command string
	Errors                       []problem.Field
	Took                         int64 // milliseconds; 0 is not shown
	Details                      []detail
}

type detail struct{ Name, Value string }

var shownStatus = map[verification.Status]struct{ kind, icon, word string }{
	verification.Pass:    {"good", "tick", "passed"},
	verification.Warn:    {"warning", "triangle", "passed, with a warning"},
	verification.Fail:    {"bad", "octagon", "failed"},
	verification.Skipped: {"skipped", "circle", "not run"},
}

func (h *Handler) checks(report verification.Report) []shownCheck {
	all := make([]shownCheck, len(report.Checks))
	for i, c := range report.Checks {
		s := shownStatus[c.Status]
		shown := shownCheck{Kind: s.kind, Icon: s.icon, Word: s.word, Title: c.Title, Fix: c.Fix, Command: c.Command, Errors: c.Errors, Took: c.DurationMS}
		if c.Status != verification.Pass {
			shown.Message = c.Message
		}
		if c.Status == verification.Fail || c.Status == verification.Warn {
			shown.Details = details(c)
		}
		all[i] = shown
	}
	return all
}

func details(c verification.Check) (all []detail) {
	add := func(name, value string) {
		if value != "" {
			all = append(all, detail{name, value})
		}
	}
	add("Code", c.Code)
	if e := c.Evidence; e != nil {
		add("Request", e.Method+" "+e.URL)
		if e.HTTPStatus != 0 {
			add("Status", strconv.Itoa(e.HTTPStatus))
		}
		add("Correlation ID", e.CorrelationID)
		add("Trace ID", e.TraceID)
	}
	return all
}

// notice says at the top of a page what has just happened.
type notice struct {
	Kind          string // good, waiting, warning or bad
	Heading, Text string
	Fix, Command  string // in English
	ObjectID      string // of the application that needs a role
	Next          time.Time
	Actions       []action
	Focus         bool // it answers what was just done
}

// verdictOf says which check failed. The first of the fields that it points to can be reached from it.
func verdictOf(words view.Words, heading string, failed verification.Check, fields []problem.Field) *notice {
	n := &notice{Kind: "bad", Heading: words.Text(heading, "check", failed.Title), Fix: failed.Message + " " + failed.Fix, Command: failed.Command, Focus: true}
	field := "fhirServerUrl"
	if len(fields) > 0 && fields[0].Field != "" {
		field = fields[0].Field
	}
	n.Actions = []action{{words.Text("Change the fields"), "#" + field}}
	return n
}

// done are the notices after something was done, by the word in the address. They are told only for a
// known word, so that nobody can put words of their own into a page by a link.
func (h *Handler) said(r *http.Request, done string) *notice {
	words := h.view.Words(r)
	text, ok := map[string]string{
		"saved": "The changes are saved.", "replaced": "The client secret was replaced.", "deleted": "The server was deleted.",
		"checked": "The server was checked.", "added": "The webhook was added.", "removed": "The webhook was removed.",
	}[done]
	if !ok {
		return nil
	}
	return &notice{Kind: "good", Heading: words.Text(text), Focus: true}
}

// standing says what a link's status means for its people; nil when it is active.
func standing(words view.Words, l link.Link, now time.Time, linked bool) *notice {
	reason := l.Reason(now)
	n := &notice{Focus: linked}
	if reason != nil {
		n.Fix, n.Command = reason.Message+" "+reason.Fix, reason.Command
	}
	switch l.Status(now) {
	case condition.Active:
		if !linked {
			return nil
		}
		return &notice{Kind: "good", Heading: words.Text("{description} is linked", "description", l.Description), Focus: true}
	case condition.PendingAccess:
		n.Kind, n.Heading = "waiting", words.Text("One step is left")
		n.Text = words.Text("The server is checked again by itself. A new role takes up to 30 minutes to count. You can close this page.")
		n.Next = l.RecheckAt()
		n.Actions = []action{{words.Text("Refresh"), "/api/manage/servers/" + string(l.Slug)}}
	case condition.Degraded:
		n.Kind, n.Heading = "warning", words.Text("The server has trouble, which may pass by itself")
	case condition.Expired:
		n.Kind, n.Heading = "bad", words.Text("The client secret has ended")
		if hasCertificate(l) {
			n.Heading = words.Text("The certificate has ended")
		}
	default:
		n.Kind, n.Heading = "bad", words.Text("A setting needs a fix")
	}
	return n
}
