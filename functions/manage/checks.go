package manage

import (
	"net/http"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// verdictOf says which check failed. The first of the fields that it points to can be reached from it.
func verdictOf(words view.Words, heading view.English, failed verification.Check, fields []problem.Field) *view.Notice {
	n := &view.Notice{Kind: "bad", Heading: words.Text(heading, "check", words.Title(failed)), Fix: failed.Message + " " + failed.Fix, Command: failed.Command, Focus: true}
	field := "fhirServerUrl"
	if len(fields) > 0 && fields[0].Field != "" {
		field = fields[0].Field
	}
	n.Actions = []view.Action{{Name: words.Text("Change the fields"), Href: "#" + field}}
	return n
}

// done are the notices after something was done, by the word in the address. They are told only for a
// known word, so that nobody can put words of their own into a page by a link.
func (h *Handler) said(r *http.Request, done string) *view.Notice {
	words := h.view.Words(r)
	text, ok := map[string]view.English{
		"saved": "The changes are saved.", "replaced": "It was replaced: the new one has passed.", "deleted": "The server was deleted.",
		"checked": "The server was checked.", "added": "The webhook was added.", "removed": "The webhook was removed.",
		"rotated": "The webhook has a new key. The old one signs too for 24 hours.", "arrived": "The test has arrived",
		"missed": "The test did not arrive",
	}[done]
	if !ok {
		return nil
	}
	n := &view.Notice{Kind: "good", Heading: words.Text(text), Focus: true}
	if done == "missed" {
		n.Kind, n.Text = "warning", words.Text("The reason stands below, at Last delivery.")
	}
	return n
}

// standing says what a link's status means for its people; nil when it is active.
// done is what was just done, or "waited" for a page that was open before it became active.
func standing(words view.Words, l link.Link, now time.Time, done string) *view.Notice {
	reason := l.Reason(now)
	n := &view.Notice{Focus: done == "linked"}
	if reason != nil {
		n.Fix, n.Command = reason.Message+" "+reason.Fix, reason.Command
	}
	switch l.Status(now) {
	case condition.Active:
		if done != "linked" && done != "waited" {
			return nil
		}
		n.Kind, n.Heading = "good", words.Text("{description} is linked", "description", l.Description)
	case condition.PendingAccess:
		n.Kind, n.Heading = "waiting", words.Text("One step is left")
		n.Text = words.Text("The server is checked again by itself. A new role takes up to 30 minutes to count. You can close this page.")
		n.Next = l.RecheckAt()
		n.Actions = []view.Action{{Name: words.Text("Refresh"), Href: "/api/manage/servers/" + string(l.Slug)}}
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
