package link

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

const (
	// KeepPrevious is how long the previous secret may stand in for a new one that Entra refuses,
	// and so how long it stays enabled: long enough for a mistake made before a weekend.
	KeepPrevious = 7 * 24 * time.Hour
	// spreads is how long a new secret takes to reach all of Entra: until then it is refused
	// with AADSTS7000215 now and then.
	spreads = 2 * time.Minute
)

// Codes of Entra's refusals after which the previous secret stands in.
const (
	codeInvalidSecret = "aadsts_7000215"
	codeExpiredSecret = "aadsts_7000222"
)

// spreading tells whether a refusal with AADSTS7000215 may only mean that the new secret has
// not yet reached all of Entra.
func (l Link) spreading(code string, now time.Time) bool {
	return code == codeInvalidSecret && l.Secret.Previous != "" && now.Sub(l.Secret.Since) < spreads
}

// mayFallBack tells whether the previous secret stands in for the current one after this
// failure: AADSTS7000222, or AADSTS7000215 if it began while the new secret was spreading.
func (l Link) mayFallBack(failure error, now time.Time) bool {
	var refused *Refused
	if l.Secret.Previous == "" || !now.Before(l.Secret.PreviousUntil) || !errors.As(failure, &refused) {
		return false
	}
	return refused.Code == codeExpiredSecret || l.spreading(refused.Code, now) ||
		refused.Code == codeInvalidSecret && !l.Secret.FellBackAt.IsZero()
}

// fallBack is a grant by the previous secret. The current one is asked again as soon as its
// refusal is forgotten, and takes over by itself when it works.
func (s *Service) fallBack(ctx context.Context, l Link, c tokenKey) (Grant, error) {
	c.secretVersion, c.kind = l.Secret.Previous, l.Secret.PreviousKind
	g, err := s.grantBy(ctx, l, c)
	g.Previous = true
	if err != nil || !l.Secret.FellBackAt.IsZero() {
		return g, err
	}
	var fresh bool
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Secret.Version != l.Secret.Version || !row.Secret.FellBackAt.IsZero() {
			return Link{}, errNothing
		}
		row.Secret.FellBackAt = s.Now()
		row.note(ctx, FellBack, s.Now())
		fresh = true
		return row, nil
	})
	if err = ignore(err, errNothing, store.ErrNotFound); err != nil {
		s.Log.WarnContext(ctx, "status.unwritten", "link", l.Slug, "cause", describe(err))
	}
	if fresh && err == nil {
		s.Log.WarnContext(ctx, "secret.fallback", "link", l.Slug, "organization", l.Organization, "until", l.Secret.PreviousUntil)
		s.enter(ctx, row)
	}
	return g, nil
}

// retire disables the previous secret when its time is over: in the store of secrets first, so
// that no row forgets a version that is still enabled. The customer's own application is never
// touched.
func (s *Service) retire(ctx context.Context, l Link) error {
	err := s.Secrets.Update(ctx, l.Secret.Name, l.Secret.Previous, false, l.attributes())
	if err = ignore(err, secret.ErrNotFound); err != nil {
		return err
	}
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Secret.Previous != l.Secret.Previous {
			return Link{}, errLost
		}
		row.Secret.Previous, row.Secret.PreviousKind, row.Secret.PreviousUntil, row.Secret.FellBackAt = "", "", time.Time{}, time.Time{}
		row.note(ctx, Retired, s.Now())
		return row, nil
	})
	if err != nil {
		return ignore(err, errLost, store.ErrNotFound)
	}
	_, err = s.tryEnter(ctx, row)
	return err
}
