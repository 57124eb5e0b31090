package link

import (
	"context"
	"errors"
	"slices"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/store"
)

// Finding is what the timer reports of one link.
type Finding struct {
	Slug         Slug
	App          string // client id of the link's app, if it is about that
	Organization string
	Did          []string // what was done: finished, removed, verified, …
	Status       condition.Status
	State        SecretState
	Code         string    // why it is not active, if it is not
	DaysLeft     *int      // see ending.Secret.KnownDaysLeft
	ExpiresOn    date.Date // zero: not known
	Notice       bool      // the secret's end has come nearer than a threshold
	Delivered    int       // notices that receivers have taken; Digest adds those of the mail

	Letters []telling.Letter // for Digest, with those of the organization's other links
}

const didVerify = "verified"

// Due calls yield for every link that Tend has something to do for.
func (s *Service) Due(ctx context.Context, now time.Time, yield func(Slug) bool) error {
	return s.stores.Due(ctx, now, yield)
}

// Tend does what is due for one link: it tells people, finishes or removes what a crash left, and
// verifies again. A second Tend finds nothing to do. If one of these fails, the others are still
// done.
func (s *Service) Tend(ctx context.Context, slug Slug) (Finding, error) {
	f := Finding{Slug: slug}
	l, err := s.tell(ctx, slug, &f)
	if l.Slug == "" { // it is gone, or cannot be read
		return f, ignore(err, store.ErrNotFound)
	}
	did, tendErr := s.tend(ctx, l)
	f.Did = append(f.Did, did...)
	if slices.Contains(did, didVerify) && l.Phase == Live {
		_, again := s.tell(ctx, slug, &f)
		tendErr = errors.Join(tendErr, ignore(again, store.ErrNotFound))
	}
	if err = errors.Join(err, tendErr); err == nil && l.Failures > 0 {
		err = s.succeeded(ctx, l)
	}
	return f, err
}

// succeeded resets the count of the timer's failures on a link.
func (s *Service) succeeded(ctx context.Context, l Link) error {
	_, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		row.Failures, row.NotBefore = 0, time.Time{}
		return row, nil
	})
	return ignore(err, store.ErrNotFound)
}

// tend does the one thing that is due in a row's phase, or everything that is due for a live link.
func (s *Service) tend(ctx context.Context, l Link) (did []string, err error) {
	do := func(what string, one error) {
		if err = errors.Join(err, one); one == nil {
			did = append(did, what)
		}
	}
	now := s.now()
	if len(l.PendingEvents) > 0 && now.Sub(l.PendingEvents[0].At) >= Grace {
		entered, err := s.tryEnterPending(ctx, l)
		do("entered the trail", err)
		l = entered
	}
	if l.Phase == Live {
		s.tendLive(ctx, l, do)
		return did, err
	}
	aged := now.Sub(l.PhaseSince) >= Grace
	switch {
	case l.Phase == Reserved && aged:
		_, _, err := s.abandon(ctx, l.Slug, l.Secret.Name)
		do("removed an unfinished registration", err)
	case l.Phase == Abandoned && aged:
		do("removed an unfinished registration", s.finishAbandoned(ctx, l))
	case l.Phase == Deleting && aged:
		do("finished a deletion", s.finishDeletion(ctx, l))
	case l.Phase == Tombstone && !now.Before(l.ReservedUntil):
		do("released the slug of a deleted link", s.freeSlug(ctx, l))
	case l.Phase == Tombstone && l.Enrolled && aged:
		do("took a deleted link off the list", s.withdrawTombstone(ctx, l))
	}
	return did, err
}

func (s *Service) tendLive(ctx context.Context, l Link, do func(string, error)) {
	now := s.now()
	come := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if l.ofApp() && s.apps != nil {
		row, tended, err := s.apps.Tend(ctx, l)
		if tended != "" {
			do(tended, err)
		}
		if l = row; l.ID == "" {
			return
		}
	}
	switch {
	case l.Change != nil && now.Sub(l.Change.Since) >= Grace:
		do("finished a change of the secret", s.finishChange(ctx, l))
	case l.Change == nil && len(l.Discard) > 0 && now.Sub(l.PhaseSince) >= Grace:
		do("removed secrets of unfinished registrations", s.discard(ctx, l))
	}
	if come(l.Secret.PreviousUntil) {
		do("disabled the previous secret", s.disablePrevious(ctx, l))
	}
	if !come(l.NextVerify) {
		return
	}
	if l.Condition.NeedsWhole(l.VerifiedAt, now) {
		_, err := s.reverify(ctx, l, lastreport.Service)
		do(didVerify, err)
	} else {
		do(didVerify, s.recheckToken(ctx, l))
	}
}

// freeSlug removes a tombstone, so that any organization may register the slug.
func (s *Service) freeSlug(ctx context.Context, l Link) error {
	if err := s.stores.RemoveReport(ctx, string(l.Slug)); err != nil { // of a verification that the deletion overtook
		return err
	}
	if err := s.withdraw(ctx, l.Organization, l.Slug); err != nil {
		return err
	}
	_, err := s.stores.Remove(ctx, l.Slug, func(row Link) bool { return row.Phase == Tombstone && row.ID == l.ID })
	return err
}

// withdrawTombstone withdraws a tombstone from the roster, and writes down that this is done.
func (s *Service) withdrawTombstone(ctx context.Context, l Link) error {
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
	return ignore(err, errLost, store.ErrNotFound)
}

// finishChange finishes a change that its writer did not end. It takes over the marker, so that no
// other change starts meanwhile, and then makes the store of secrets agree with the row.
func (s *Service) finishChange(ctx context.Context, l Link) error {
	marker := word()
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.Change == nil || row.Change.ID != l.Change.ID {
			return Link{}, errLost
		}
		row.Change = &Change{ID: marker, Since: s.now()}
		return row, nil
	})
	if err != nil {
		return ignore(err, errLost, store.ErrNotFound)
	}
	versions, err := s.secrets.Versions(ctx, row.Secret.Name)
	if err != nil {
		return err
	}
	for _, v := range versions {
		named := v.ID == row.Secret.Version || v.ID == row.Secret.Previous
		if v.ID == row.Secret.Version || v.Enabled && !named {
			if err := s.secrets.Update(ctx, row.Secret.Name, v.ID, named, row.attributes()); err != nil {
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

// discard deletes the secrets that Discard names.
func (s *Service) discard(ctx context.Context, l Link) error {
	for _, name := range l.Discard {
		if err := s.secrets.Delete(ctx, name); err != nil {
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
	return ignore(err, store.ErrNotFound)
}

// How long a link waits after the timer failed on it: each further failure doubles the wait.
const postponeFirst, postponeMost = time.Minute, time.Hour

// Postpone makes the timer leave a link alone for a while, because Tend failed or hung. A row that
// cannot be read cannot be postponed either, and costs each run one read.
func (s *Service) Postpone(ctx context.Context, slug Slug) error {
	_, err := s.update(ctx, slug, func(row Link) (Link, error) {
		wait := min(postponeFirst<<min(row.Failures, 10), postponeMost)
		row.Failures, row.NotBefore = row.Failures+1, s.now().Add(wait)
		return row, nil
	})
	return ignore(err, store.ErrNotFound)
}
