package link

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

const (
	busyFor      = time.Minute      // how long a change of a secret keeps others from starting one
	commitWithin = 10 * time.Minute // how old a change may be when it commits: less than Grace, when the timer disables versions
)

// SetSecret verifies a new client secret and cuts over to it. ifMatch is the If-Match
// header, "" if absent. When the verification fails, the old secret goes on working.
func (s *Service) SetSecret(ctx context.Context, organization, slug, ifMatch string, n intake.NewSecret) (Result, error) {
	return s.Patch(ctx, organization, slug, ifMatch, n.Patch())
}

// Patch changes fields of a link. ifMatch is the If-Match header, "" if absent. The server, the
// application, the tenant and the audience change only together with the secret, and after a
// verification.
func (s *Service) Patch(ctx context.Context, organization, slug, ifMatch string, p intake.Patch) (Result, error) {
	l, err := s.own(ctx, organization, slug)
	if err != nil {
		return Result{}, err
	}
	return s.patch(ctx, l, ifMatch, p)
}

// patch is Patch for a row that was read already.
func (s *Service) patch(ctx context.Context, l Link, ifMatch string, p intake.Patch) (result Result, err error) {
	defer func() { s.refused(ctx, l, actionOf(p), err) }()
	if err := l.match(ifMatch); err != nil {
		return Result{}, err
	}
	target, err := l.target()
	if err != nil {
		return Result{}, err
	}
	reader := s.reader()
	c := reader.Patch(p, target, l.Secret.ExpiresOn)
	if err := reader.Err(); err != nil {
		return Result{}, err
	}
	if c.Verify && c.Target.Credential == nil {
		return Result{}, intake.SecretRequired()
	}
	e := edit{organization: l.Organization, slug: l.Slug, ifMatch: ifMatch, changes: c, end: ending.End{On: c.ExpiresOn, Source: l.Secret.Source}}
	if c.Dated || p.BringsCredential() {
		e.end = ending.Typed(c.ExpiresOn, c.Target.Credential)
	}
	row := l
	var report *verification.Report
	if c.Verify {
		r, end := s.verifyDated(ctx, reader, c.Target, e.end)
		err = intake.Verdict(r)
		if err == nil && s.apps != nil && (r.TenantID != l.TenantID || c.Target.ClientID != l.ClientID) {
			err = s.apps.Free(ctx, r.TenantID, c.Target.ClientID)
		}
		if err != nil {
			return Result{}, err
		}
		report, e.end = &r, end
		row, err = s.replaceSecret(context.WithoutCancel(ctx), e, r)
	} else if e.changesAnything(l) {
		row, err = s.writeEdit(context.WithoutCancel(ctx), e)
	}
	if err != nil {
		return Result{}, err
	}
	if report != nil {
		s.putReport(ctx, row, lastreport.Change, *report)
	}
	return Result{Link: s.enterPending(ctx, row), Notes: reader.Notes(), Report: report}, nil
}

// actionOf is what the trail calls the patch.
func actionOf(p intake.Patch) trail.Action {
	if p.BringsCredential() {
		return trail.SecretChanged
	}
	return trail.Changed
}

// edit is a change that was accepted and is to be written.
type edit struct {
	organization string
	slug         Slug
	ifMatch      string
	changes      intake.Changes
	end          ending.End // when the credential ends, after the change
}

// begin is the check that every write of a change makes on the row as it is then.
func (e edit) begin(row Link) error {
	if !row.visibleTo(e.organization) {
		return explain.NotFound(string(e.slug))
	}
	return row.match(e.ifMatch)
}

// apply sets the fields that need no secret.
func (e edit) apply(row *Link, now time.Time) {
	if e.changes.Description != nil {
		row.Description = *e.changes.Description
	}
	if e.changes.Listed != nil {
		row.Listed = *e.changes.Listed
	}
	if e.changes.Contacts != nil {
		row.Contacts = *e.changes.Contacts
	}
	if e.changes.Dated || e.changes.Verify {
		row.Secret.ExpiresOn, row.Secret.Source, row.NoticedOn = e.end.On, e.end.Source, date.Of(now)
	}
	row.Revision++
	row.UpdatedAt = now
}

// changesAnything reports whether a change without a new secret differs from what is there. Only
// such a change raises the revision.
func (e edit) changesAnything(l Link) bool {
	before, after := l.Stored(), l.Stored()
	e.apply(&after, l.UpdatedAt)
	after.Revision, after.NoticedOn = before.Revision, before.NoticedOn
	return !reflect.DeepEqual(before, after)
}

// busy is an error while another request is changing the secret.
func (l Link) busy(now time.Time) error {
	if l.Change == nil || now.Sub(l.Change.Since) >= busyFor {
		return nil
	}
	return problem.New(problem.ChangedMeanwhile, "Another change of the link %q is under way. Read the link again in a minute and send the request with its ETag.", l.Slug)
}

// writeEdit writes a change without a new secret. A new date goes to the row first, because the row
// counts, then to the store of secrets. If the process dies in between, the marker makes the timer
// do the rest.
func (s *Service) writeEdit(ctx context.Context, e edit) (Link, error) {
	marker := word()
	row, err := s.update(ctx, e.slug, func(row Link) (Link, error) {
		now := s.now()
		if err := e.begin(row); err != nil {
			return Link{}, err
		}
		if e.changes.Dated {
			if err := row.busy(now); err != nil {
				return Link{}, err
			}
			row.Change = row.nextChange(marker, now)
		}
		e.apply(&row, now)
		row.addEvent(ctx, trail.Changed, trail.OK, now)
		return row, nil
	})
	if err != nil {
		return Link{}, explain.Store(err, string(e.slug))
	}
	if !e.changes.Dated {
		return row, nil
	}
	ctx, cancel := aside(ctx)
	defer cancel()
	err = s.secrets.Update(ctx, row.Secret.Name, row.Secret.Version, true, row.attributes())
	if err = ignore(err, secret.ErrNotFound); err == nil {
		row, err = s.unmark(ctx, row, marker)
	}
	if err != nil {
		s.log.WarnContext(ctx, "change.unfinished", "link", row.inLog(), "left", "to the timer", "cause", explain.Cause(err))
	}
	return row, nil
}

// replaceSecret writes a change with a new secret: mark the row; put the secret; commit its
// version with the other fields; disable the versions that cannot stand in for it.
func (s *Service) replaceSecret(ctx context.Context, e edit, report verification.Report) (Link, error) {
	slug, marker := string(e.slug), word()
	row, err := s.update(ctx, e.slug, func(row Link) (Link, error) {
		if err := e.begin(row); err != nil {
			return Link{}, err
		}
		if err := row.busy(s.now()); err != nil {
			return Link{}, err
		}
		row.Change = row.nextChange(marker, s.now())
		return row, nil
	})
	if err != nil {
		return Link{}, explain.Store(err, slug)
	}
	row.Secret.ExpiresOn = e.end.On // for the attributes of the new version
	name, version, err := s.putVersion(ctx, row, marker, e.changes.Target.Credential.Text())
	if err != nil {
		s.leaveUnfinished(ctx, row.Slug, marker)
		return Link{}, explain.Vault(err, slug)
	}
	put := Link{Slug: e.slug, Organization: row.Organization, Secret: Secret{Name: name, ExpiresOn: row.Secret.ExpiresOn}}
	var superseded []string
	row, err = s.update(ctx, e.slug, func(row Link) (Link, error) {
		now := s.now()
		if row.Phase != Live || row.Change == nil || row.Change.ID != marker || now.Sub(row.Change.Since) >= commitWithin {
			return Link{}, errLost
		}
		superseded = row.cutOver(e, name, version, report, now)
		row.addEvent(ctx, trail.SecretChanged, trail.OK, now)
		if len(superseded) == 0 {
			row.endChange()
		}
		return row, nil
	})
	ctx, cancel := aside(ctx)
	defer cancel()
	switch {
	case errors.Is(err, errLost), errors.Is(err, store.ErrNotFound):
		if !s.disable(ctx, put, version) {
			s.leaveUnfinished(ctx, e.slug, marker)
		}
		return Link{}, problem.New(problem.ChangedMeanwhile, "The link %q was changed while the new secret was being stored; the new secret was not taken. Read the link again and repeat the request.", slug)
	case err != nil:
		return Link{}, explain.Store(err, slug)
	case len(superseded) > 0 && s.disable(ctx, row, superseded...):
		if cleared, err := s.unmark(ctx, row, marker); err == nil {
			row = cleared
		}
	}
	return row, nil
}

// putVersion stores the new secret under the link's name. If the old secret was deleted in the vault
// by hand, its name cannot be used again, and the secret gets a new one. The row lists the new name
// in Discard first, so that no crash leaves a secret that no row names.
func (s *Service) putVersion(ctx context.Context, row Link, marker string, value secret.Value) (name, version string, err error) {
	name = row.Secret.Name
	version, err = s.secrets.Put(ctx, name, value, row.attributes())
	if !errors.Is(err, secret.ErrNameUsed) {
		return name, version, err
	}
	name = s.secrets.NewName("link")
	_, err = s.update(ctx, row.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.Change == nil || row.Change.ID != marker {
			return Link{}, errLost
		}
		row.Discard = append(row.Discard[:len(row.Discard):len(row.Discard)], name)
		return row, nil
	})
	if err != nil {
		return name, "", err
	}
	version, err = s.secrets.Put(ctx, name, value, row.attributes())
	return name, version, err
}

// cutOver makes version of name the link's secret, with the settings that it was verified for. The
// old version stays as the previous one if it belongs to the same application. superseded are the
// versions to disable.
func (l *Link) cutOver(e edit, name, version string, report verification.Report, now time.Time) (superseded []string) {
	old := l.Secret
	l.Secret = Secret{Name: name, Version: version, Kind: e.changes.Target.Credential.Kind(), Since: now}
	switch {
	case name != old.Name: // whose versions are gone
		l.Discard = slices.DeleteFunc(slices.Clone(l.Discard), func(n string) bool { return n == name })
	case l.ClientID == e.changes.Target.ClientID && l.TenantID == report.TenantID:
		l.Secret.Previous, l.Secret.PreviousKind, l.Secret.PreviousUntil = old.Version, old.Kind, now.Add(KeepPrevious)
		superseded = named(old.Previous)
	default:
		superseded = named(old.Version, old.Previous)
	}
	l.FHIRServerURL, l.ClientID = e.changes.Target.Server.String(), e.changes.Target.ClientID
	l.TenantID, l.Audience = report.TenantID, report.Audience
	e.apply(l, now)
	l.Secret.KeyID = e.end.KeyID
	l.Condition, l.ToldCondition = condition.Condition{}, ""
	l.judge(report, now)
	l.VerifiedAt = now
	l.addNotice(telling.Notice{Type: notify.SecretRotated}, "", now)
	return superseded
}

// named returns the versions that are not "".
func named(versions ...string) []string {
	return slices.DeleteFunc(versions, func(v string) bool { return v == "" })
}

// leaveUnfinished leaves it to the timer to look for a version that was stored although no row names it. If
// the change with this marker is the latest, another one may start at once.
func (s *Service) leaveUnfinished(ctx context.Context, slug Slug, marker string) {
	ctx, cancel := aside(ctx)
	defer cancel()
	_, err := s.update(ctx, slug, func(row Link) (Link, error) {
		if row.Phase != Live {
			return Link{}, errLost
		}
		c := Change{ID: word(), Since: s.now().Add(-busyFor)}
		if row.Change != nil && row.Change.ID != marker {
			c = *row.Change
		}
		c.Unfinished = true
		row.Change = &c
		return row, nil
	})
	if err = ignore(err, errLost, store.ErrNotFound); err != nil {
		s.log.WarnContext(ctx, "change.unfinished", "link", slug, "left", "to the timer", "cause", explain.Cause(err))
	}
}

// nextChange is the marker of a change that begins. A marker that is already there belongs to a
// change that did not end.
func (l Link) nextChange(id string, now time.Time) *Change {
	return &Change{ID: id, Since: now, Unfinished: l.Change != nil}
}

// endChange removes the marker, or leaves it to the timer when an earlier change did not end.
func (l *Link) endChange() {
	if !l.Change.Unfinished {
		l.Change = nil
		return
	}
	l.Change = &Change{ID: word(), Since: l.Change.Since.Add(-busyFor), Unfinished: true}
}

// disable disables versions that no row names any more. If it fails, the timer does it.
func (s *Service) disable(ctx context.Context, l Link, versions ...string) bool {
	for _, version := range versions {
		err := ignore(s.secrets.Update(ctx, l.Secret.Name, version, false, l.attributes()), secret.ErrNotFound)
		if err != nil {
			s.log.WarnContext(ctx, "secret.disable.failed", "link", l.inLog(), "left", "to the timer", "cause", explain.Cause(err))
			return false
		}
	}
	return true
}

// unmark removes the marker of a change, if the row still has it.
func (s *Service) unmark(ctx context.Context, row Link, marker string) (Link, error) {
	cleared, err := s.update(ctx, row.Slug, func(now Link) (Link, error) {
		if now.Change == nil || now.Change.ID != marker {
			return Link{}, errLost
		}
		now.endChange()
		return now, nil
	})
	if err != nil {
		return row, ignore(err, errLost, store.ErrNotFound)
	}
	return cleared, nil
}
