package manage

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

type serverBody struct {
	Link    link.Link
	Badge   view.Badge
	Notices []*view.Notice
	Step    view.Step
	HasStep bool
	Replace view.English // the name of the link that replaces the credential
	Recheck time.Time
	Checked time.Time
	Checks  []view.Check
	Secret  secretBody
	History []happening
	More    string // address of older events
	For     string
	Waiting bool // for access

	Certificate bool // it has one instead of a client secret
}

type secretBody struct {
	Badge    view.Badge
	Dated    bool
	Ends     date.Date
	Left     string
	Source   string
	Fallback time.Time // until when the previous one stands in
}

// happening is an event of the history.
type happening struct {
	At                time.Time
	What, By, Outcome string
	OK                bool
}

func (h *Handler) server(w http.ResponseWriter, r *http.Request, v Visitor) error {
	p, err := h.serverPage(r, v, h.said(r, r.URL.Query().Get("done")))
	if err != nil {
		return err
	}
	return h.view.Write(w, r, p)
}

// serverPage shows a link. What first says comes before what its status asks for.
func (h *Handler) serverPage(r *http.Request, v Visitor, first *view.Notice) (view.Page, error) {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return view.Page{}, err
	}
	words, now := h.view.Words(r), h.Now()
	body := serverBody{Link: l, Badge: view.StatusBadge(l.Status(now)), Recheck: l.RecheckAt(), Secret: secretOfLink(words, l, now), For: v.For, Waiting: l.Status(now) == condition.PendingAccess}
	body.Step, body.HasStep = step(l, now)
	body.Replace, body.Certificate = "Replace secret", hasCertificate(l)
	if body.Certificate {
		body.Replace = "Replace certificate"
	}
	for _, n := range []*view.Notice{first, standing(words, l, now, r.URL.Query().Get("done"))} {
		if n != nil {
			body.Notices = append(body.Notices, n)
		}
	}
	if body.HasStep && body.Step.Path == "/secret" {
		var soon view.English = "Replace the client secret soon"
		if hasCertificate(l) {
			soon = "Replace the certificate soon"
		}
		replace := view.Action{Name: words.Text(body.Replace), Href: "/api/manage/servers/" + string(l.Slug) + "/secret"}
		if n := len(body.Notices); l.Status(now) == condition.Expired {
			body.Notices[n-1].Actions = append(body.Notices[n-1].Actions, replace)
		} else {
			body.Notices = append(body.Notices, &view.Notice{Kind: "warning", Heading: words.Text(soon), Text: body.Secret.Left, Actions: []view.Action{replace}})
		}
	}
	report, err := h.Links.Report(r.Context(), v.Caller.Organization, string(l.Slug))
	switch {
	case err == nil:
		body.Checked, body.Checks = report.At, view.Checks(asOf(report.Report, l, now))
		for _, n := range body.Notices {
			if !n.Next.IsZero() { // it waits for a role
				n.ObjectID = report.Report.ObjectID
			}
		}
	case problem.CodeOf(err) != problem.ReportNotFound:
		return view.Page{}, err
	}
	events, next, err := h.Links.Events(r.Context(), v.Caller.Organization, string(l.Slug), historyLength, r.URL.Query().Get("from"))
	if err != nil {
		return view.Page{}, err
	}
	for _, n := range body.Notices {
		n.Live = true
	}
	for _, e := range events {
		body.History = append(body.History, happeningOf(words, v, e))
	}
	if next != "" {
		body.More = "/api/manage/servers/" + string(l.Slug) + "?from=" + next + "#history"
	}
	return view.Page{Template: "server", Heading: l.Description, Nav: "FHIR servers", Account: account(v), Body: body}, nil
}

// asOf says of the date of a link's secret what is true now: it may have been added since the report was made.
func asOf(report verification.Report, l link.Link, now time.Time) verification.Report {
	report.Checks = slices.Clone(report.Checks)
	for i, c := range report.Checks {
		if c.ID == verification.CheckFields && c.Status != verification.Fail {
			report.Checks[i] = intake.Check(l.Secret.ExpiresOn, now)
		}
	}
	return report
}

// historyLength is how many events a page shows.
const historyLength = 20

var secretBadges = map[link.SecretState]view.Badge{
	link.SecretOK: {Kind: "good", Icon: "tick"}, link.SecretExpiring: {Kind: "warning", Icon: "triangle"},
	link.SecretExpired: {Kind: "bad", Icon: "cross"}, link.SecretUnknown: {Kind: "warning", Icon: "circle"},
}

var sources = map[string]view.English{"typed": "typed in", "graph": "from Microsoft Graph", "certificate": "from the certificate", "refusal": "Microsoft Entra refused it"}

func secretOfLink(words view.Words, l link.Link, now time.Time) secretBody {
	b := secretBody{Badge: secretBadges[l.SecretState(now)], Dated: !l.Secret.ExpiresOn.IsZero(), Ends: l.Secret.ExpiresOn}
	b.Left = left(words, l, now)
	if source := sources[string(l.Secret.DateSource())]; source != "" {
		b.Source = words.Text(source)
	}
	if !l.Secret.FellBackAt.IsZero() {
		b.Fallback = l.Secret.PreviousUntil
	}
	return b
}

var actions = map[trail.Action]view.English{
	trail.Registered: "linked", trail.Verified: "checked", trail.Changed: "settings changed", trail.SecretChanged: "secret replaced", trail.Deleted: "deleted",
	trail.TokenIssued: "tokens handed out", trail.FellBack: "the previous secret stands in", trail.Retired: "previous secret switched off",
}

func happeningOf(words view.Words, v Visitor, e trail.Event) happening {
	what := actions[e.Action]
	if what == "" {
		what = view.English(e.Action)
	}
	return happening{At: e.At, What: words.Text(what), By: who(words, v, e.By), OK: e.Outcome == trail.OK, Outcome: e.Outcome}
}

// who names an actor without a name, because names are not stored.
func who(words view.Words, v Visitor, a trail.Actor) string {
	switch {
	case a == trail.Actor{}:
		return words.Text("this service")
	case a.ObjectID != "" && a.ObjectID == v.Caller.ObjectID:
		return words.Text("You")
	case v.Caller.Local && a.ObjectID == "":
		return words.Text("this machine")
	case a.App && a.AppID != "" && a.AppID == v.Caller.AppID:
		return words.Text("these pages")
	case a.App:
		return words.Text("an application ({id})", "id", a.AppID)
	}
	return words.Text("a user (object id {id})", "id", a.ObjectID)
}

// check verifies a link now.
func (h *Handler) check(w http.ResponseWriter, r *http.Request, v Visitor) error {
	slug, err := r.PathValue("slug"), h.spend(v)
	if err == nil {
		_, err = h.Links.Verify(r.Context(), v.Caller.Organization, slug)
	}
	if err != nil {
		return h.withReason(r, err, func(n *view.Notice) (view.Page, error) { return h.serverPage(r, v, n) })
	}
	return seeOther(w, r, "/api/manage/servers/"+slug+"?done=checked")
}

// report answers with the last report as a file, as the page shows it. It holds no secret.
func (h *Handler) report(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	found, err := h.Links.Report(r.Context(), v.Caller.Organization, string(l.Slug))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(struct {
		Slug   string        `json:"slug"`
		At     date.Instant  `json:"at"`
		By     lastreport.By `json:"by"`
		Report any           `json:"report"`
	}{r.PathValue("slug"), date.At(found.At), found.By, asOf(found.Report, l, h.Now())}, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="report.json"`)
	view.Send(w, r, http.StatusOK, "application/json", append(text, '\n'))
	return nil
}
