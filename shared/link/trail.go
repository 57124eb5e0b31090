package link

import (
	"cmp"
	"context"
	"errors"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

// event is a new entry about the link.
func (l Link) event(ctx context.Context, action trail.Action, outcome string, now time.Time) trail.Event {
	at := date.Stored(now)
	return trail.Event{
		ID: trail.ID(at, word()), At: at, Organization: l.Organization, Slug: string(cmp.Or(l.Of, l.Slug)), App: l.App, LinkID: l.ID,
		Action: action, Outcome: outcome, By: trail.ActorOf(ctx),
	}
}

// addEvent puts an event on the row, in the write of what it is about.
func (l *Link) addEvent(ctx context.Context, action trail.Action, outcome string, now time.Time) {
	l.PendingEvents = l.PendingEvents.Add(l.event(ctx, action, outcome, now))
}

// enterPending moves a row's pending events into the trail. What fails is left to the timer.
func (s *Service) enterPending(ctx context.Context, l Link) Link {
	ctx, cancel := aside(ctx)
	defer cancel()
	entered, err := s.tryEnterPending(ctx, l)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unfinished", "link", l.inLog(), "left", "to the timer", "cause", explain.Cause(err))
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
		row.PendingEvents = row.PendingEvents.Without(l.PendingEvents)
		return row, nil
	})
	if err != nil {
		return l, ignore(err, store.ErrNotFound)
	}
	return entered, nil
}

// refused enters in the trail that something was refused, and why. It is tried once, because a
// refusal changes nothing.
func (s *Service) refused(ctx context.Context, l Link, action trail.Action, err error) {
	if err != nil && !errors.Is(err, store.ErrUnavailable) { // the trail is in the same database
		s.append(ctx, l.event(ctx, action, string(problem.CodeOf(err)), s.now()))
	}
}

// trailTimeout bounds a write of the trail in the background.
const trailTimeout = 5 * time.Second

// append adds an event that no row holds.
func (s *Service) append(ctx context.Context, e trail.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trailTimeout)
	defer cancel()
	_ = s.Enter(ctx, e) // which logs what failed
}

// Enter adds an event that no row holds to the trail.
func (s *Service) Enter(ctx context.Context, e trail.Event) error {
	err := s.stores.Append(ctx, e)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", explain.Cause(err))
	}
	return err
}

// Events returns up to limit events of a link, the latest first, and how to continue ("" at the
// end). The trail of a deleted link stays readable while the slug is reserved for its organization.
func (s *Service) Events(ctx context.Context, organization, slug string, limit int, from string) ([]trail.Event, string, error) {
	l, err := s.find(ctx, slug)
	if err != nil {
		return nil, "", err
	}
	if !l.trailVisibleTo(organization) {
		return nil, "", explain.NotFound(slug)
	}
	events, next, err := trail.Page(ctx, s.stores, organization, slug, limit, from)
	return events, next, explain.Store(err, slug)
}
