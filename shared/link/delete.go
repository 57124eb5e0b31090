package link

import (
	"context"
	"time"

	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

// keepTombstone is how long the slug of a deleted link stays reserved for its organization. It is
// the longest time for which Key Vault keeps a deleted secret.
const keepTombstone = 90 * 24 * time.Hour

// Forever is the end of a reservation that does not end.
var Forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// KeepSlug reserves the slug of a link for its organization without end, because something that
// others trust is named after it. Errors: LinkNotFound, UpstreamUnavailable.
func (s *Service) KeepSlug(ctx context.Context, organization, slug string) error {
	_, err := s.update(ctx, Slug(slug), func(l Link) (Link, error) {
		switch {
		case !l.visibleTo(organization):
			return Link{}, explain.NotFound(slug)
		case l.ReservedUntil.Equal(Forever):
			return Link{}, errNothing
		}
		l.ReservedUntil = Forever
		return l, nil
	})
	return explain.Store(ignore(err, errNothing), slug)
}

// Delete removes a link and its secret. ifMatch is the If-Match header, "" if absent. A
// repetition within 60 s succeeds too. The slug stays reserved for the organization for 90 days, or
// longer: see KeepSlug.
//
// The writes: mark the row, which makes it invisible; delete the secret, the report and what
// others keep of the link; leave a tombstone; remove the roster entry. The timer finishes what a crash leaves.
func (s *Service) Delete(ctx context.Context, organization, slug, ifMatch string) error {
	l, err := s.find(ctx, slug)
	if err != nil {
		return err
	}
	return s.delete(ctx, l, organization, ifMatch)
}

// delete is Delete for a row that was read already.
func (s *Service) delete(ctx context.Context, l Link, organization, ifMatch string) (err error) {
	slug := string(l.Slug)
	switch {
	case ifMatch != "" && l.deletedJustNow(organization, s.now()):
		return nil
	case !l.visibleTo(organization):
		return explain.NotFound(slug)
	}
	defer func() { s.refused(ctx, l, trail.Deleted, err) }()
	row, err := s.update(ctx, l.Slug, func(l Link) (Link, error) {
		if !l.visibleTo(organization) {
			return Link{}, explain.NotFound(slug)
		}
		if err := l.match(ifMatch); err != nil {
			return Link{}, err
		}
		l.Phase, l.PhaseSince, l.Change = Deleting, s.now(), nil
		l.addEvent(ctx, trail.Deleted, trail.OK, s.now())
		return l, nil
	})
	if err != nil {
		return explain.Store(err, slug)
	}
	ctx, cancel := aside(ctx)
	defer cancel()
	row = s.enterPending(ctx, row)
	if err := s.finishDeletion(ctx, row); err != nil {
		s.log.WarnContext(ctx, "deletion.unfinished", "link", row.inLog(), "left", "to the timer", "cause", explain.Cause(err))
	}
	return nil
}

// repeatedWithin is how long the answer to a deletion is repeated: a host may deliver it up to 40 times.
const repeatedWithin = time.Minute

// deletedJustNow reports whether the organization has deleted the link within repeatedWithin.
func (l Link) deletedJustNow(organization string, now time.Time) bool {
	gone := l.Phase == Deleting || l.Phase == Tombstone
	return gone && organization != "" && l.Organization == organization && now.Sub(l.PhaseSince) < repeatedWithin
}

// finishDeletion finishes a deletion that was marked.
func (s *Service) finishDeletion(ctx context.Context, row Link) error {
	for _, name := range append([]string{row.Secret.Name}, row.Discard...) {
		if err := s.secrets.Delete(ctx, name); err != nil {
			return err
		}
	}
	if !row.ofApp() && s.apps != nil {
		if err := s.apps.Removed(ctx, row); err != nil {
			return err
		}
	}
	if err := s.stores.RemoveReport(ctx, string(row.Slug)); err != nil {
		return err
	}
	_, err := s.update(ctx, row.Slug, func(l Link) (Link, error) {
		if l.Phase != Deleting || l.ID != row.ID {
			return Link{}, errLost
		}
		until := s.now() // the name of an app's registration is nobody's
		if !l.ofApp() {
			until = until.Add(keepTombstone)
		}
		if l.ReservedUntil.After(until) {
			until = l.ReservedUntil
		}
		return l.tombstone(until, s.now()), nil
	})
	if err != nil {
		return ignore(err, errLost, store.ErrNotFound)
	}
	return s.withdraw(ctx, row.Organization, row.Slug)
}

// tombstone is what is left of a link: the claim on its slug.
func (l Link) tombstone(until, now time.Time) Link {
	return Link{
		Slug: l.Slug, ID: l.ID, Organization: l.Organization, Phase: Tombstone, PhaseSince: now,
		ReservedUntil: until, CreatedAt: l.CreatedAt, UpdatedAt: now, Revision: l.Revision, Enrolled: true, PendingEvents: l.PendingEvents,
	}
}
