package link

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

const (
	// maxUntold bounds the events that wait on a row for the trail.
	maxUntold = 8
	// trailTimeout bounds a write of the trail that nobody waits for.
	trailTimeout = 5 * time.Second
	// trailWait is how long the first hand-out of a token in an hour waits for its event.
	trailWait = 250 * time.Millisecond
	// trailPause is how long nothing is tried after the trail could not be written.
	trailPause = 10 * time.Second
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
		s.Log.WarnContext(ctx, "trail.unfinished", "link", l.Slug, "left", "to the timer", "cause", describe(err))
		return l
	}
	return entered
}

func (s *Service) tryEnter(ctx context.Context, l Link) (Link, error) {
	if len(l.Untold) == 0 {
		return l, nil
	}
	for _, e := range l.Untold {
		if err := s.Stores.Append(ctx, e); err != nil {
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
		s.append(ctx, l.event(ctx, action, string(problem.CodeOf(err)), s.Now()))
	}
}

// append adds an event that no row holds.
func (s *Service) append(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trailTimeout)
	defer cancel()
	if err := s.Stores.Append(ctx, e); err != nil {
		s.Log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", describe(err))
	}
}

// issued remembers which hand-outs of tokens are in the trail.
type issued struct {
	entries *lru.Cache[handOut, issuedEntry]
	flights singleflight.Group
}

// handOut is what the trail does not tell apart: one event.
type handOut struct {
	linkID  string
	by      Actor
	outcome string
	hour    int64 // since 1970, UTC
}

type issuedEntry struct {
	done  bool
	after time.Time // when it may be tried again
}

func newIssued() *issued { return &issued{entries: newLRU[handOut, issuedEntry]()} }

// noteToken has the trail say that a caller was given tokens for a link in this UTC hour, or
// was refused them: one event, whose ID all instances agree on. Only the first hand-out waits
// for it, and not for long; while the trail cannot be written, tokens are handed out without.
func (s *Service) noteToken(ctx context.Context, l Link, outcome string) {
	now := s.Now()
	h := handOut{l.ID, actor(ctx), outcome, now.Unix() / 3600}
	entry, tried := s.issued.entries.Get(h)
	if entry.done || tried && now.Before(entry.after) {
		return
	}
	written := s.issued.flights.DoChan(h.id(), flight(ctx, trailTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.writeHandOut(ctx, l, h)
	}))
	if tried {
		return // it failed before: whoever asks for tokens has waited enough
	}
	wait := time.NewTimer(trailWait)
	defer wait.Stop()
	select {
	case <-written:
	case <-wait.C:
		s.issued.entries.Add(h, issuedEntry{after: now.Add(trailPause)})
	case <-ctx.Done():
	}
}

func (s *Service) writeHandOut(ctx context.Context, l Link, h handOut) error {
	if entry, _ := s.issued.entries.Get(h); entry.done {
		return nil // a flight that ended just now has done it
	}
	e := l.event(ctx, TokenIssued, h.outcome, time.Unix(h.hour*3600, 0))
	e.ID, e.By = h.id(), h.by
	err := s.Stores.Append(ctx, e)
	s.issued.entries.Add(h, issuedEntry{done: err == nil, after: s.Now().Add(trailPause)})
	if err != nil {
		s.Log.WarnContext(ctx, "trail.unwritten", "link", e.Slug, "action", string(e.Action), "outcome", e.Outcome, "cause", describe(err))
	}
	return err
}

// id is the ID of the hand-out's event.
func (h handOut) id() string {
	sum := sha256.New()
	for _, part := range []string{h.linkID, h.outcome, h.by.Organization, h.by.ObjectID, h.by.AppID} {
		_, _ = sum.Write([]byte(part + "\n")) // a hash never fails
	}
	return eventID(time.Unix(h.hour*3600, 0), hex.EncodeToString(sum.Sum(nil)[:12]))
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
	events, err := s.Stores.Events(ctx, organization, l.Slug, string(after), limit+1)
	if err != nil {
		return nil, "", storeProblem(err, slug)
	}
	if len(events) <= limit {
		return events, "", nil
	}
	events = events[:limit]
	return events, continuationAfter(organization+"\n"+slug, Slug(events[limit-1].ID)), nil
}

// outcomeOf is what the trail says of a request for a token.
func outcomeOf(err error) (outcome string, worth bool) {
	var refused *Refused
	switch {
	case err == nil:
		return outcomeOK, true
	case errors.As(err, &refused):
		return refused.Code, true
	}
	return "", false
}
