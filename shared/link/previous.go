package link

import (
	"context"
	"time"

	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// KeepPrevious is how long the previous secret stays enabled, so that it can stand in for a new one that
// Entra refuses. It covers a mistake made before a weekend.
const KeepPrevious = 7 * 24 * time.Hour

// StandIn writes down that the previous secret stands in for the current one, unless the row says
// so already. A failure is only logged: the next token tries again.
func (s *Service) StandIn(ctx context.Context, l Link) {
	var fresh bool
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Secret.Version != l.Secret.Version || !row.Secret.FellBackAt.IsZero() {
			return Link{}, errNothing
		}
		row.Secret.FellBackAt = s.now()
		row.addEvent(ctx, trail.FellBack, trail.OK, s.now())
		fresh = true
		return row, nil
	})
	if err = ignore(err, errNothing, store.ErrNotFound); err != nil {
		s.log.WarnContext(ctx, "status.unwritten", "link", l.inLog(), "cause", explain.Cause(err))
	}
	if fresh && err == nil {
		s.log.WarnContext(ctx, "secret.fallback", "link", l.inLog(), "organization", l.Organization, "until", l.Secret.PreviousUntil)
		s.enterPending(ctx, row)
	}
}

// disablePrevious disables the previous secret when its time is over. The store of secrets comes
// first, so that no row forgets a version that is still enabled. The customer's registration in
// Entra is never touched.
func (s *Service) disablePrevious(ctx context.Context, l Link) error {
	err := s.secrets.Update(ctx, l.Secret.Name, l.Secret.Previous, false, l.attributes())
	if err = ignore(err, secret.ErrNotFound); err != nil {
		return err
	}
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Secret.Previous != l.Secret.Previous {
			return Link{}, errLost
		}
		row.Secret.Previous, row.Secret.PreviousKind, row.Secret.PreviousUntil, row.Secret.FellBackAt = "", "", time.Time{}, time.Time{}
		row.addEvent(ctx, trail.Retired, trail.OK, s.now())
		return row, nil
	})
	if err != nil {
		return ignore(err, errLost, store.ErrNotFound)
	}
	_, err = s.tryEnterPending(ctx, row)
	return err
}
