package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/continuation"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

// Event is one entry of the trail: who did what to which link, when, and with what outcome. It
// holds no secret and no token.
type Event struct {
	ID           string // sorts the latest first
	At           time.Time
	Organization string // of the link's owner
	Slug         Slug
	LinkID       string `json:",omitempty"` // of the registration; empty when there was none
	Action       Action
	Outcome      string // "ok", or a code: of problem, of a verification, or of Entra's answer
	By           Actor
}

// Action is what was done.
type Action string

// The actions of a trail.
const (
	Registered    Action = "register"
	Verified      Action = "verify"
	Changed       Action = "change"        // of fields
	SecretChanged Action = "change_secret" // with or without other fields
	Deleted       Action = "delete"
	TokenIssued   Action = "token"           // once per caller and UTC hour
	FellBack      Action = "fall_back"       // the previous secret stands in for the current one
	Retired       Action = "retire_previous" // the previous secret was disabled
)

// OutcomeOK is the outcome of what succeeded.
const OutcomeOK = "ok"

// Actor is who did it; the zero Actor is this service itself.
type Actor struct {
	Organization string `json:",omitempty"` // tenant id
	ObjectID     string `json:",omitempty"` // of the user or service principal
	AppID        string `json:",omitempty"` // client id of the application that was used
	App          bool   `json:",omitempty"` // an application by itself, without a user
}

// ActorOf is the caller on whose behalf a request runs.
func ActorOf(ctx context.Context) Actor {
	c, _ := caller.From(ctx) // without one, it is the timer
	return Actor{Organization: c.Organization, ObjectID: c.ObjectID, AppID: c.AppID, App: c.App}
}

// EventID is an ID that sorts later events before earlier ones.
func EventID(at time.Time, unique string) string {
	return fmt.Sprintf("%019d-%s", math.MaxInt64-at.UnixMicro(), unique)
}

// event is a new entry about the link.
func (l Link) event(ctx context.Context, action Action, outcome string, now time.Time) Event {
	at := storedTime(now)
	return Event{
		ID: EventID(at, word()), At: at, Organization: l.Organization, Slug: l.Slug, LinkID: l.ID,
		Action: action, Outcome: outcome, By: ActorOf(ctx),
	}
}

const (
	// maxPendingEvents bounds the events that wait on a row for the trail.
	maxPendingEvents = 8
	// trailTimeout bounds a write of the trail in the background.
	trailTimeout = 5 * time.Second
)

// addEvent puts an event on the row, in the write of what it is about, so that no crash keeps it out
// of the trail.
func (l *Link) addEvent(ctx context.Context, action Action, now time.Time) {
	l.PendingEvents = append(slices.Clone(l.PendingEvents), l.event(ctx, action, OutcomeOK, now))
	l.PendingEvents = l.PendingEvents[max(0, len(l.PendingEvents)-maxPendingEvents):]
}

// enterPending moves a row's pending events into the trail. What fails is left to the timer.
func (s *Service) enterPending(ctx context.Context, l Link) Link {
	ctx, cancel := aside(ctx)
	defer cancel()
	entered, err := s.tryEnterPending(ctx, l)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unfinished", "link", l.Slug, "left", "to the timer", "cause", describe(err))
		return l
	}
	return entered
}

func (s *Service) tryEnterPending(ctx context.Context, l Link) (Link, error) {
	if len(l.PendingEvents) == 0 {
		return l, nil
	}
	for _, e := range l.PendingEvents {
		if err := s.stores.Append(ctx, e); err != nil {
			return l, err
		}
	}
	entered, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		row.PendingEvents = slices.DeleteFunc(slices.Clone(row.PendingEvents), func(e Event) bool {
			return slices.ContainsFunc(l.PendingEvents, func(o Event) bool { return o.ID == e.ID })
		})
		return row, nil
	})
	if err != nil {
		return l, ignore(err, store.ErrNotFound)
	}
	return entered, nil
}

// refused enters in the trail that something was refused, and why. It is tried once, because a
// refusal changes nothing.
func (s *Service) refused(ctx context.Context, l Link, action Action, err error) {
	if err != nil && !errors.Is(err, store.ErrUnavailable) { // the trail is in the same database
		s.append(ctx, l.event(ctx, action, string(problem.CodeOf(err)), s.now()))
	}
}

// append adds an event that no row holds.
func (s *Service) append(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trailTimeout)
	defer cancel()
	_ = s.Enter(ctx, e) // which logs what failed
}

// Enter adds an event that no row holds to the trail.
func (s *Service) Enter(ctx context.Context, e Event) error {
	err := s.stores.Append(ctx, e)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", describe(err))
	}
	return err
}

// Events returns up to limit events of a link, the latest first, and how to continue ("" at the
// end). The trail of a deleted link stays readable while the slug is reserved for its organization.
func (s *Service) Events(ctx context.Context, organization, slug string, limit int, from string) ([]Event, string, error) {
	l, err := s.find(ctx, slug)
	if err != nil {
		return nil, "", err
	}
	if !l.trailVisibleTo(organization) {
		return nil, "", notFound(slug)
	}
	after, err := continuation.Parse(organization+"\n"+slug, from)
	if err != nil {
		return nil, "", err
	}
	events, err := s.stores.Events(ctx, organization, l.Slug, after, limit+1)
	if err != nil {
		return nil, "", storeProblem(err, slug)
	}
	if len(events) <= limit {
		return events, "", nil
	}
	events = events[:limit]
	return events, continuation.After(organization+"\n"+slug, events[limit-1].ID), nil
}
