package tokens

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/flight"
	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
)

const (
	// trailTimeout bounds a write of the trail.
	trailTimeout = 5 * time.Second
	// trailWait is how long the first hand-out of a token in an hour waits for its event.
	trailWait = 250 * time.Millisecond
	// trailPause is how long nothing is tried after the trail could not be written.
	trailPause = 10 * time.Second
)

// handOut is what the trail does not tell apart: a caller that is given tokens for a link, or
// refused them, in one UTC hour.
type handOut struct {
	linkID  string
	by      trail.Actor
	outcome string
	hour    int64 // since 1970, UTC
}

func (h handOut) began() time.Time { return time.Unix(h.hour*3600, 0) }

// id is the ID of the hand-out's event; all instances agree on it.
func (h handOut) id() string {
	sum := sha256.New()
	for _, part := range []string{h.linkID, h.outcome, h.by.Organization, h.by.ObjectID, h.by.AppID} {
		_, _ = sum.Write([]byte(part + "\n")) // a hash never fails
	}
	return trail.ID(h.began(), hex.EncodeToString(sum.Sum(nil)[:12]))
}

// handOuts remembers which hand-outs of tokens are in the trail.
type handOuts struct {
	entries *lru.Cache[handOut, handOutEntry]
	flights flight.Group[struct{}]
}

type handOutEntry struct {
	done  bool
	after time.Time // when it may be tried again
}

func newHandOuts() *handOuts { return &handOuts{entries: newLRU[handOut, handOutEntry]()} }

// noteHandOut enters in the trail that a caller was given tokens for a link in this UTC hour, or
// was refused them. Only the first hand-out waits for the event, and not for long. While the
// trail cannot be written, tokens are handed out without it.
func (s *Service) noteHandOut(ctx context.Context, l link.Link, refusal string) {
	now := s.now()
	h := handOut{l.ID, trail.ActorOf(ctx), cmp.Or(refusal, trail.OK), now.Unix() / 3600}
	entry, tried := s.handOuts.entries.Get(h)
	if entry.done || tried && now.Before(entry.after) {
		return
	}
	s.enterHandOut(ctx, l, h, tried, now)
}

// enterHandOut is a separate function because its closure would cost every warm request a copy of
// the link.
func (s *Service) enterHandOut(ctx context.Context, l link.Link, h handOut, tried bool, now time.Time) {
	written := s.handOuts.flights.Go(ctx, h.id(), trailTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.writeHandOut(ctx, l, h)
	})
	if tried {
		return // it failed before, and the caller has waited then
	}
	wait := time.NewTimer(trailWait)
	defer wait.Stop()
	select {
	case <-written:
	case <-wait.C:
		s.handOuts.entries.Add(h, handOutEntry{after: now.Add(trailPause)})
	case <-ctx.Done():
	}
}

func (s *Service) writeHandOut(ctx context.Context, l link.Link, h handOut) error {
	if entry, _ := s.handOuts.entries.Get(h); entry.done {
		return nil // a flight that ended just now has done it
	}
	err := s.links.Enter(ctx, trail.Event{
		ID: h.id(), At: s.now(), Organization: l.Organization, Slug: string(l.Slug), LinkID: l.ID,
		Action: trail.TokenIssued, Outcome: h.outcome, By: h.by,
	})
	s.handOuts.entries.Add(h, handOutEntry{done: err == nil, after: s.now().Add(trailPause)})
	return err
}

// refusalOf is the code of Entra's refusal, empty when there was a token. Other failures are not
// worth an entry in the trail.
func refusalOf(err error) (code string, worth bool) {
	var refused *Refused
	switch {
	case err == nil:
		return "", true
	case errors.As(err, &refused):
		return refused.Code, true
	}
	return "", false
}
