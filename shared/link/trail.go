package link

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

const (
	// maxUntold bounds the events that wait on a row for the trail.
	maxUntold = 8
	// trailTimeout bounds a write of the trail that nobody waits for.
	trailTimeout = 5 * time.Second
)

// note puts what is being done on the row, in the write that does it, so that no crash keeps it
// from the trail.
func (l *Link) note(ctx context.Context, action Action, now time.Time) {
	l.Untold = append(slices.Clone(l.Untold), l.event(ctx, action, outcomeOK, now))
	l.Untold = l.Untold[max(0, len(l.Untold)-maxUntold):]
}

// enter moves the events of a row into the trail. What fails is left to the timer.
func (s *Service) enter(ctx context.Context, l Link) Link {
	ctx, cancel := aside(ctx)
	defer cancel()
	entered, err := s.tryEnter(ctx, l)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unfinished", "link", l.Slug, "left", "to the timer", "cause", describe(err))
		return l
	}
	return entered
}

func (s *Service) tryEnter(ctx context.Context, l Link) (Link, error) {
	if len(l.Untold) == 0 {
		return l, nil
	}
	for _, e := range l.Untold {
		if err := s.stores.Append(ctx, e); err != nil {
			return l, err
		}
	}
	entered, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		row.Untold = slices.DeleteFunc(slices.Clone(row.Untold), func(e Event) bool {
			return slices.ContainsFunc(l.Untold, func(o Event) bool { return o.ID == e.ID })
		})
		return row, nil
	})
	if err != nil {
		return l, ignore(err, store.ErrNotFound)
	}
	return entered, nil
}

// refused has the trail say that something was not done, and why. It is tried once: a refusal
// changes nothing.
func (s *Service) refused(ctx context.Context, l Link, action Action, err error) {
	if err != nil && !errors.Is(err, store.ErrUnavailable) { // which the trail would be too
		s.append(ctx, l.event(ctx, action, string(problem.CodeOf(err)), s.now()))
	}
}

// append adds an event that no row holds.
func (s *Service) append(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trailTimeout)
	defer cancel()
	if err := s.stores.Append(ctx, e); err != nil {
		s.log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", describe(err))
	}
}

// HandOut is what the trail does not tell apart: a caller that is given tokens for a link, or
// refused them, in one UTC hour. All instances agree on the ID of its event.
type HandOut struct {
	LinkID  string
	By      Actor
	Outcome string
	Hour    int64 // since 1970, UTC
}

// NewHandOut is the hand-out of the caller that ctx carries; refusal is the code of Entra's
// answer, empty when there was a token.
func NewHandOut(ctx context.Context, l Link, refusal string, now time.Time) HandOut {
	return HandOut{l.ID, actor(ctx), cmp.Or(refusal, outcomeOK), now.Unix() / 3600}
}

// ID is the ID of the hand-out's event.
func (h HandOut) ID() string {
	sum := sha256.New()
	for _, part := range []string{h.LinkID, h.Outcome, h.By.Organization, h.By.ObjectID, h.By.AppID} {
		_, _ = sum.Write([]byte(part + "\n")) // a hash never fails
	}
	return eventID(h.began(), hex.EncodeToString(sum.Sum(nil)[:12]))
}

func (h HandOut) began() time.Time { return time.Unix(h.Hour*3600, 0) }

// HandedOut enters the hand-out in the trail.
func (s *Service) HandedOut(ctx context.Context, l Link, h HandOut) error {
	e := l.event(ctx, TokenIssued, h.Outcome, h.began())
	e.ID, e.By = h.ID(), h.By
	err := s.stores.Append(ctx, e)
	if err != nil {
		s.log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", describe(err))
	}
	return err
}

// Events returns up to limit events of a link, the latest first, and how to continue ("" at the
// end). The trail of a deleted link stays readable as long as the slug is its organization's.
func (s *Service) Events(ctx context.Context, organization, slug string, limit int, continuation string) ([]Event, string, error) {
	l, err := s.find(ctx, slug)
	if err != nil {
		return nil, "", err
	}
	if organization == "" || l.Organization != organization || l.Phase == Reserved || l.Phase == Abandoned {
		return nil, "", notFound(slug)
	}
	after, err := parseContinuation(organization+"\n"+slug, continuation)
	if err != nil {
		return nil, "", err
	}
	events, err := s.stores.Events(ctx, organization, l.Slug, string(after), limit+1)
	if err != nil {
		return nil, "", storeProblem(err, slug)
	}
	if len(events) <= limit {
		return events, "", nil
	}
	events = events[:limit]
	return events, continuationAfter(organization+"\n"+slug, Slug(events[limit-1].ID)), nil
}
