package link

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Finding is what the timer reports of one link.
type Finding struct {
	Slug         Slug
	Organization string
	Did          []string // what was done: finished, removed, verified, …
	Status       Status
	State        SecretState
	DaysLeft     int  // when ExpiresOn is known
	ExpiresOn    Date // zero: not known
	Notice       bool // the secret's end has come nearer past one of the notice dates
}

// Due calls yield for every link that Tend has something to do for.
func (s *Service) Due(ctx context.Context, now time.Time, yield func(Slug) bool) error {
	return s.Stores.Due(ctx, now, yield)
}

// Tend does what is due for one link: finishes or removes what a crash left, verifies again,
// and notices that the secret's end comes nearer. A second Tend finds nothing to do.
func (s *Service) Tend(ctx context.Context, slug Slug) (Finding, error) {
	l, err := s.Stores.Get(ctx, slug)
	if errors.Is(err, ErrNotFound) {
		return Finding{Slug: slug}, nil
	}
	if err != nil {
		return Finding{Slug: slug}, err
	}
	did, err := s.tend(ctx, l)
	f := Finding{Slug: slug, Organization: l.Organization, Did: did}
	if err != nil || l.Phase != Live {
		return f, err
	}
	return s.notice(ctx, f)
}

func (s *Service) tend(ctx context.Context, l Link) (did []string, err error) {
	now := s.Now()
	aged := now.Sub(l.PhaseSince) >= Grace
	do := func(what string, err error) error {
		if err == nil {
			did = append(did, what)
		}
		return err
	}
	switch {
	case l.Phase == Reserved && aged:
		return did, do("removed an unfinished registration", s.undo(ctx, l))
	case l.Phase == Deleting && aged:
		return did, do("finished a deletion", s.bury(ctx, l))
	case l.Phase == Tombstone && !now.Before(l.ReservedUntil):
		return did, do("released the slug of a deleted link", s.forgetTombstone(ctx, l))
	case l.Phase == Tombstone && l.Enrolled && aged:
		return did, do("took a deleted link off the list", s.unenroll(ctx, l))
	case l.Phase != Live:
		return nil, nil
	}
	switch {
	case l.Change != nil && now.Sub(l.Change.Since) >= Grace:
		err = do("finished a change of the secret", s.settleChange(ctx, l))
	case l.Change == nil && len(l.Discard) > 0 && aged:
		err = do("removed secrets of unfinished registrations", s.discard(ctx, l))
	}
	if err == nil && !l.NextVerify.IsZero() && !now.Before(l.NextVerify) {
		if l.whole(now) {
			_, err = s.reverify(ctx, l)
		} else {
			err = s.recheckToken(ctx, l)
		}
		err = do("verified", err)
	}
	return did, err
}

// undo removes a registration that was not finished.
func (s *Service) undo(ctx context.Context, l Link) error {
	if l.Secret.Name == "" {
		return s.release(ctx, l)
	}
	_, _, err := s.giveUp(ctx, l.Slug, l.Secret.Name)
	return err
}

// forgetTombstone sets the slug free.
func (s *Service) forgetTombstone(ctx context.Context, l Link) error {
	if err := s.withdraw(ctx, l.Organization, l.Slug); err != nil {
		return err
	}
	_, err := s.Stores.Remove(ctx, l.Slug, func(row Link) bool { return row.Phase == Tombstone && row.ID == l.ID })
	return err
}

// unenroll makes sure that a tombstone is on no list.
func (s *Service) unenroll(ctx context.Context, l Link) error {
	if err := s.withdraw(ctx, l.Organization, l.Slug); err != nil {
		return err
	}
	_, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Tombstone || row.ID != l.ID {
			return Link{}, errLost
		}
		row.Enrolled = false
		return row, nil
	})
	return ignore(err, errLost, ErrNotFound)
}

// settleChange ends a change that its writer did not end: it takes the marker over, so that
// nobody starts another meanwhile, then makes the store of secrets agree with the row.
func (s *Service) settleChange(ctx context.Context, l Link) error {
	marker := word()
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.Change == nil || row.Change.ID != l.Change.ID {
			return Link{}, errLost
		}
		row.Change = &Change{ID: marker, Since: s.Now()}
		return row, nil
	})
	if err != nil {
		return ignore(err, errLost, ErrNotFound)
	}
	versions, err := s.Secrets.Versions(ctx, row.Secret.Name)
	if err != nil {
		return err
	}
	for _, v := range versions {
		named := v.ID == row.Secret.Version || v.ID == row.Secret.Previous
		if v.ID == row.Secret.Version || v.Enabled && !named {
			if err := s.Secrets.Update(ctx, row.Secret.Name, v.ID, named, row.attributes()); err != nil {
				return err
			}
		}
	}
	if err := s.discard(ctx, row); err != nil {
		return err
	}
	_, err = s.unmark(ctx, row, marker)
	return err
}

// discard deletes the secrets that the row notes for removal.
func (s *Service) discard(ctx context.Context, l Link) error {
	for _, name := range l.Discard {
		if err := s.Secrets.Delete(ctx, name); err != nil {
			return err
		}
	}
	if len(l.Discard) == 0 {
		return nil
	}
	_, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		row.Discard = slices.DeleteFunc(slices.Clone(row.Discard), func(n string) bool { return slices.Contains(l.Discard, n) })
		return row, nil
	})
	return ignore(err, ErrNotFound)
}

// notice reports how near the secret's end is when a notice date has passed, and remembers it.
func (s *Service) notice(ctx context.Context, f Finding) (Finding, error) {
	now := s.Now()
	passed := func(l Link) bool {
		due := l.noticeDue()
		return l.Phase == Live && !due.IsZero() && !now.Before(due)
	}
	l, err := s.Stores.Get(ctx, f.Slug)
	if err == nil && passed(l) {
		l, err = s.update(ctx, f.Slug, func(row Link) (Link, error) {
			f.Notice = passed(row)
			row.NoticedOn = DateOf(now)
			return row, nil
		})
	}
	if err != nil {
		return f, ignore(err, ErrNotFound)
	}
	f.Status, f.State, f.ExpiresOn = l.Status(now), l.SecretState(now), l.Secret.ExpiresOn
	if !f.ExpiresOn.IsZero() {
		f.DaysLeft = l.DaysLeft(now)
	}
	return f, nil
}
