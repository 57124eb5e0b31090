package link

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// takeOverAfter is how old a reserved row must be before its organization may start over.
const takeOverAfter = time.Minute

// errLost means that another operation has taken over the row meanwhile.
var errLost = explain.ErrLost

// Register verifies r, then stores it. Errors: InvalidFields, SlugTaken, TooManyLinks,
// VerificationFailed, UpstreamUnavailable; nothing is stored then.
//
// The writes, each of which may be the last: reserve the slug; enroll it in the organization's
// roster; put the secret; activate the row. A reserved row is invisible, so only the timer sees
// what a crash leaves.
func (s *Service) Register(ctx context.Context, organization string, r intake.Registration) (Result, error) {
	reader := s.reader()
	a := reader.Registration(r)
	if err := reader.Err(); err != nil {
		return Result{}, err
	}
	slug := Slug(a.Slug)
	if err := s.mayRegister(ctx, organization, slug); err != nil {
		return Result{}, err
	}
	if err := s.checkQuota(ctx, organization, 1); err != nil {
		return Result{}, err
	}
	result, err := s.add(ctx, organization, a, reader, func(*Link) {})
	if err == nil {
		s.putReport(ctx, result.Link, lastreport.Register, *result.Report)
	}
	return result, err
}

// add verifies what was accepted, and stores the row of it, which change completes.
func (s *Service) add(ctx context.Context, organization string, a intake.Accepted, reader *intake.Reader, change func(*Link)) (Result, error) {
	report, end := s.verifyDated(ctx, reader, a.Target, ending.Typed(a.ExpiresOn, a.Target.Credential))
	l, err := Link{}, intake.Verdict(report)
	row := newLink(organization, a, end, s.secrets.NewName("link"), report, s.now())
	change(&row)
	if err == nil && row.App == "" && s.apps != nil {
		err = s.apps.Free(ctx, row.TenantID, row.ClientID)
	}
	if err == nil {
		l, err = s.store(context.WithoutCancel(ctx), row, a.Target.Credential.Text())
	}
	if err != nil {
		s.logRefusal(ctx, row, report, err)
		return Result{}, err
	}
	return Result{Link: s.enterPending(ctx, l), Notes: reader.Notes(), Report: &report}, nil
}

// logRefusal logs a registration that was verified and not stored. It is not in the trail: without a
// link nobody could read it there.
func (s *Service) logRefusal(ctx context.Context, l Link, report verification.Report, err error) {
	by := trail.ActorOf(ctx)
	finding, _ := report.Finding()
	s.log.InfoContext(ctx, "registration.refused", "link", l.inLog(), "tid", l.Organization, "azp", by.AppID, "oid", by.ObjectID,
		"code", string(problem.CodeOf(err)), "finding", finding)
}

// Rehearse verifies r without storing anything; every finding is in the report.
func (s *Service) Rehearse(ctx context.Context, organization string, r intake.Registration) (verification.Report, error) {
	reader := s.reader()
	a := reader.Registration(r)
	check := intake.Check(a.ExpiresOn, s.now())
	if reader.Err() != nil {
		check.Status, check.Code, check.Errors = verification.Fail, string(problem.InvalidFields), reader.Mistakes()
		check.Message, check.Fix = "Some fields are not valid; errors lists each with its fix.", "Correct the fields listed in errors."
		return verification.NotRun(check), nil
	}
	err := s.mayRegister(ctx, organization, Slug(a.Slug))
	if err == nil {
		err = s.checkQuota(ctx, organization, 1)
	}
	var conflict *problem.Error
	switch {
	case err == nil:
		report, _ := s.verifyDated(ctx, reader, a.Target, ending.Typed(a.ExpiresOn, a.Target.Credential))
		return report, nil
	case !errors.As(err, &conflict) || conflict.Code != problem.SlugTaken && conflict.Code != problem.TooManyLinks:
		return verification.Report{}, err
	}
	check.Status, check.Code = verification.Fail, string(conflict.Code)
	check.Message, check.Fix = conflict.Code.Title()+".", conflict.Detail
	return verification.NotRun(check), nil
}

// verifyDated runs all checks and asks the directory when the secret ends. The directory's date
// counts more than the typed one.
func (s *Service) verifyDated(ctx context.Context, reader *intake.Reader, t verification.Target, typed ending.End) (verification.Report, ending.End) {
	report := s.verifier.Verify(ctx, t)
	end, found := s.lookUp(ctx, t, report, "")
	switch {
	case !found:
		end = typed
	case !typed.On.IsZero() && typed.On != end.On:
		reader.Note("took the date of the secret's end from Microsoft Graph, %s, instead of secretExpiresOn", end.On)
	}
	return report.Prepend(ctx, intake.Check(end.On, s.now())), end
}

// newLink is the reserved row of a registration that was verified.
func newLink(organization string, a intake.Accepted, end ending.End, secretName string, report verification.Report, now time.Time) Link {
	l := Link{
		Slug: Slug(a.Slug), ID: word(), Organization: organization, Phase: Reserved,
		Description: a.Description, FHIRServerURL: a.Target.Server.String(), ClientID: a.Target.ClientID,
		TenantID: report.TenantID, Audience: report.Audience, Listed: a.Listed,
		Contacts: a.Contacts,
		Secret:   Secret{Name: secretName, Kind: a.Target.Credential.Kind(), ExpiresOn: end.On, Source: end.Source, KeyID: end.KeyID},
		Enrolled: true, NoticedOn: date.Of(now),
		Revision: 1, CreatedAt: now, UpdatedAt: now, VerifiedAt: now, PhaseSince: now,
	}
	l.judge(report, now)
	return l
}

// mayRegister is nil when the organization may register the slug.
func (s *Service) mayRegister(ctx context.Context, organization string, slug Slug) error {
	l, err := s.stores.Get(ctx, slug)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return explain.Store(err, string(slug))
	}
	return l.mayBeRegisteredBy(organization, s.now())
}

// holdsSlug reports whether the row is, or is to become, a link of its organization.
func (l Link) holdsSlug() bool { return l.Phase == Reserved || l.Phase == Live || l.Phase == Deleting }

func (l Link) mayBeRegisteredBy(organization string, now time.Time) error {
	mine := l.Organization == organization
	switch {
	case l.Phase == Tombstone && (mine || !now.Before(l.ReservedUntil)):
		return nil
	case l.Phase == Abandoned && mine:
		return nil
	case l.Phase == Reserved && mine && now.Sub(l.PhaseSince) >= takeOverAfter:
		return nil
	case l.Phase == Live && mine:
		return intake.SlugTaken("Your organization has a link %q already.", "Change it with PATCH /api/links/%[1]s, give it a new secret with PUT /api/links/%[1]s/secret, or choose another slug.", string(l.Slug))
	case l.Phase != Tombstone && mine:
		return intake.SlugTaken("Your organization is registering or deleting the link %q just now.", "Send the request again in a minute, or choose another slug.", string(l.Slug))
	}
	return intake.SlugTaken("The slug %q is taken.", "Choose another one.", string(l.Slug))
}

// checkQuota is an error when the organization would exceed its quota with so many more links.
func (s *Service) checkQuota(ctx context.Context, organization string, more int) error {
	slugs, err := s.stores.Slugs(ctx, organization, "", s.maxLinks+1)
	if err != nil {
		return explain.Store(err, "")
	}
	if len(slugs)+more <= s.maxLinks {
		return nil
	}
	// Entries are claims: count the rows behind them before refusing.
	links, err := s.read(ctx, slugs)
	if err != nil {
		return err
	}
	held := more
	for _, l := range links {
		if l.Organization == organization && l.Phase != Tombstone {
			held++
		}
	}
	if held <= s.maxLinks {
		return nil
	}
	return problem.New(problem.TooManyLinks, "Your organization may have %d links and has them all. Delete one that is no longer used, or ask the operator to raise FHIRLINK_MAX_LINKS.", s.maxLinks)
}

// store writes a verified link with its secret.
func (s *Service) store(ctx context.Context, l Link, value secret.Value) (Link, error) {
	slug := string(l.Slug)
	if err := s.reserve(ctx, l); err != nil {
		return Link{}, explain.Store(err, slug)
	}
	if l.Enrolled {
		if err := s.enroll(ctx, l); err != nil {
			s.abandonAside(ctx, l.Slug, l.Secret.Name)
			return Link{}, err
		}
	}
	version, err := s.secrets.Put(ctx, l.Secret.Name, value, l.attributes())
	if err != nil {
		s.abandonAside(ctx, l.Slug, l.Secret.Name)
		return Link{}, explain.Vault(err, slug)
	}
	stored, err := s.activate(ctx, l, version)
	if err == nil {
		return stored, nil
	}
	if row, took := s.abandonAside(ctx, l.Slug, l.Secret.Name); took {
		return row, nil
	}
	if errors.Is(err, errLost) || errors.Is(err, store.ErrNotFound) {
		return Link{}, intake.SlugTaken("Another registration of %q came first.", "Read the link before you register it again.", string(l.Slug))
	}
	return Link{}, explain.Store(err, slug)
}

// reserve reserves the slug for the organization. It inserts a row, or takes the place of a
// tombstone or of a registration that was not finished.
func (s *Service) reserve(ctx context.Context, l Link) error {
	err := s.stores.Insert(ctx, l)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	_, err = s.stores.Update(ctx, l.Slug, func(old Link) (Link, error) {
		if err := old.mayBeRegisteredBy(l.Organization, s.now()); err != nil {
			return Link{}, err
		}
		claimed := l
		claimed.Discard, claimed.PendingEvents = old.Discard, old.PendingEvents
		if old.Phase == Reserved {
			claimed.Discard = append(claimed.Discard[:len(claimed.Discard):len(claimed.Discard)], old.Secret.Name)
		}
		if old.Organization == l.Organization {
			claimed.ReservedUntil = old.ReservedUntil
		}
		return claimed, nil
	})
	if errors.Is(err, store.ErrNotFound) { // removed between the two calls
		return intake.SlugTaken("The slug %q is being released just now.", "Send the request again.", string(l.Slug))
	}
	return err
}

// enroll enters the reserved row in the organization's roster. It comes after the reservation.
// withdraw reads the row between taking an entry's receipt and removing the entry, so it finds
// either this reservation or a receipt that is out of date.
func (s *Service) enroll(ctx context.Context, l Link) error {
	if _, err := s.stores.Enroll(ctx, l.Organization, l.Slug); err != nil {
		return explain.Store(err, string(l.Slug))
	}
	return s.checkQuota(ctx, l.Organization, 0)
}

// activate makes the reserved row live: the commit of the registration.
func (s *Service) activate(ctx context.Context, l Link, version string) (Link, error) {
	return s.update(ctx, l.Slug, func(row Link) (Link, error) {
		now := s.now()
		if row.Phase != Reserved || row.Secret.Name != l.Secret.Name || now.Sub(row.PhaseSince) >= Grace {
			return Link{}, errLost
		}
		row.Phase, row.PhaseSince = Live, now
		row.Secret.Version, row.Secret.Since = version, now
		row.addEvent(ctx, trail.Registered, trail.OK, now)
		return row, nil
	})
}

// update writes to the store, plans the next notice, and tells the caches of rows.
func (s *Service) update(ctx context.Context, slug Slug, change func(Link) (Link, error)) (Link, error) {
	of := Slug("")
	defer func() {
		for _, changed := range s.written {
			changed(slug)
			if of != "" {
				changed(of)
			}
		}
	}()
	return s.stores.Update(ctx, slug, func(row Link) (Link, error) {
		of = row.Of
		next, err := change(row)
		if err == nil {
			next.NoticeAt = s.nextNotice(next)
		}
		return next, err
	})
}

// abandonAside is abandon for a request that failed. What fails here is left to the timer.
func (s *Service) abandonAside(ctx context.Context, slug Slug, name string) (row Link, committed bool) {
	ctx, cancel := aside(ctx)
	defer cancel()
	row, committed, err := s.abandon(ctx, slug, name)
	if err != nil {
		s.log.WarnContext(ctx, "registration.unfinished", "link", slug, "left", "to the timer", "cause", explain.Cause(err))
	}
	return row, committed
}

// abandon ends a reservation whose secret has this name, and then finishes it: the secret goes
// first, then the row. If the registration turns out to be committed after all, because only the
// answer got lost, abandon returns the row and undoes nothing.
func (s *Service) abandon(ctx context.Context, slug Slug, name string) (row Link, committed bool, err error) {
	row, err = s.update(ctx, slug, func(row Link) (Link, error) {
		committed = row.Phase == Live && row.Secret.Name == name
		if row.Phase != Reserved || row.Secret.Name != name {
			return Link{}, errLost
		}
		row.Phase, row.Discard, row.Secret = Abandoned, append(row.Discard[:len(row.Discard):len(row.Discard)], name), Secret{}
		return row, nil
	})
	switch {
	case committed:
		row, err = s.stores.Get(ctx, slug)
		return row, err == nil, err
	case errors.Is(err, errLost), errors.Is(err, store.ErrNotFound): // no row names the secret, or Discard does
		return Link{}, false, s.secrets.Delete(ctx, name)
	case err != nil:
		return Link{}, false, err
	}
	return Link{}, false, s.finishAbandoned(ctx, row)
}

// finishAbandoned removes the secrets of an abandoned reservation, its roster entry, and the row. A
// row that was a tombstone becomes one again.
func (s *Service) finishAbandoned(ctx context.Context, row Link) error {
	for _, name := range row.Discard {
		if err := s.secrets.Delete(ctx, name); err != nil {
			return err
		}
	}
	abandoned := func(now Link) bool {
		return now.Phase == Abandoned && now.ID == row.ID
	}
	if err := s.withdraw(ctx, row.Organization, row.Slug); err != nil {
		return err
	}
	if !row.ReservedUntil.After(s.now()) {
		_, err := s.stores.Remove(ctx, row.Slug, abandoned)
		return err
	}
	_, err := s.stores.Update(ctx, row.Slug, func(now Link) (Link, error) {
		if !abandoned(now) {
			return Link{}, errLost
		}
		now = now.tombstone(row.ReservedUntil, s.now())
		now.Enrolled = false
		return now, nil
	})
	return ignore(err, errLost, store.ErrNotFound)
}

// withdraw removes the roster entry of a row that no longer holds its slug as a link: a tombstone or
// an abandoned reservation.
func (s *Service) withdraw(ctx context.Context, organization string, slug Slug) error {
	receipt, err := s.stores.Receipt(ctx, organization, slug)
	if err != nil || receipt == "" {
		return err
	}
	row, err := s.stores.Get(ctx, slug)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && row.Organization == organization && row.holdsSlug() {
		return nil
	}
	return s.stores.Withdraw(ctx, organization, slug, receipt)
}

func ignore(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}
