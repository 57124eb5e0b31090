package links

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/trail"
)

// Trail is the part of [link.Service] that reads events.
type Trail interface {
	Events(ctx context.Context, organization, slug string, limit int, continuation string) ([]trail.Event, string, error)
}

// Events answers GET /api/links/{slug}/events.
func (h Handler) Events(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	found, next, err := h.Links.Events(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), page.limit, page.after)
	if err != nil {
		return err
	}
	body := events{Events: make([]event, len(found)), Continue: next}
	for i, e := range found {
		body.Events[i] = eventOf(e)
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

type events struct {
	Events   []event `json:"events"`
	Continue string  `json:"continue"` // "" on the last page
}

type event struct {
	ID      string        `json:"id"`
	At      date.Instant  `json:"at"`
	FirstAt *date.Instant `json:"firstAt,omitempty"` // of an event that stands for all tokens of an hour: when the first one was issued, which is At
	App     string        `json:"app,omitempty"`     // client id of the link's app that it is about
	Action  trail.Action  `json:"action"`
	Outcome string        `json:"outcome"` // "ok", or the code of what was wrong
	By      actor         `json:"by"`
}

// actor is who acted. Fields that the caller's token does not have are left out.
type actor struct {
	Kind         string `json:"kind"` // user, application, or service (fhirlink itself)
	Organization string `json:"organization,omitempty"`
	ObjectID     string `json:"objectId,omitempty"`
	AppID        string `json:"appId,omitempty"`
}

func eventOf(e trail.Event) event {
	described := event{
		ID: e.ID, At: date.At(e.At), App: e.App, Action: e.Action, Outcome: e.Outcome,
		By: actor{Kind: kindOf(e.By), Organization: e.By.Organization, ObjectID: e.By.ObjectID, AppID: e.By.AppID},
	}
	if e.Action == trail.TokenIssued {
		described.FirstAt = &described.At
	}
	return described
}

func kindOf(a trail.Actor) string {
	switch {
	case a == trail.Actor{}:
		return "service"
	case a.App:
		return "application"
	}
	return "user"
}
