package link

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// Verify verifies a stored link with a fresh token and updates its status. What it finds is
// in the report, not in the error.
func (s *Service) Verify(ctx context.Context, organization, slug string) (verification.Report, error) {
	l, err := s.own(ctx, organization, slug)
	if err != nil {
		return verification.Report{}, err
	}
	report, err := s.reverify(ctx, l, lastreport.Verify)
	if err != nil {
		s.refused(ctx, l, trail.Verified, err)
		return report, err
	}
	s.append(ctx, l.event(ctx, trail.Verified, outcomeOfReport(report), s.now()))
	return report, nil
}

// outcomeOfReport is what the trail says of a verification: ok, or the code of what failed.
func outcomeOfReport(report verification.Report) string {
	if failed, found := report.Failed(); found {
		return failed.Code
	}
	return trail.OK
}

// reverify is Verify for a row that was read already. It also asks the directory when the
// secret ends. A change of status that it finds for the timer is in the trail.
func (s *Service) reverify(ctx context.Context, l Link, by lastreport.By) (verification.Report, error) {
	target, err := l.target()
	if err != nil {
		return verification.Report{}, err
	}
	target.Credential, err = credential.Load(ctx, s.secrets, l.Secret.Name, l.Secret.Version, l.Secret.Kind)
	var report verification.Report
	end, found := ending.End{}, false
	switch {
	case err == nil:
		report = s.verifier.Verify(ctx, target)
		if end, found = s.lookUp(ctx, target, report, l.Secret.KeyID); !found {
			end.On = l.Secret.ExpiresOn
		}
		report = report.Prepend(ctx, intake.Check(end.On, s.now()))
	case errors.Is(err, secret.ErrNotFound):
		report = verification.NotRun(verification.SecretMissing())
	default:
		return verification.Report{}, explain.Vault(err, string(l.Slug))
	}
	redated := found && end.On != l.Secret.ExpiresOn
	row, err := s.writeFinding(ctx, l, func(row *Link, now time.Time) {
		if found {
			row.redate(end, now)
		}
		if by == lastreport.Service {
			row.judgeAlone(ctx, report, now)
		} else {
			row.judge(report, now)
		}
		row.VerifiedAt = now
	})
	if err == nil && row.ID != "" {
		s.putReport(ctx, row, by, report)
		s.enterPending(ctx, row)
	}
	if err == nil && redated {
		s.tellVault(ctx, l, end.On)
	}
	return report, err
}

// judgeAlone is judge for the timer, whom nobody asked: a change of status is in the trail.
func (l *Link) judgeAlone(ctx context.Context, report verification.Report, now time.Time) {
	before := l.Status(now)
	l.judge(report, now)
	if l.Status(now) != before {
		l.addEvent(ctx, trail.Verified, outcomeOfReport(report), now)
	}
}

// lookUp asks the directory when the target's secret ends.
func (s *Service) lookUp(ctx context.Context, t verification.Target, report verification.Report, keyID string) (ending.End, bool) {
	return ending.LookUp(ctx, s.directory, s.authority(t.Server), t, report, keyID, s.log)
}

// tellVault writes the row's new date to the store of secrets, for that store's near-expiry events.
// Nothing here depends on it.
func (s *Service) tellVault(ctx context.Context, l Link, end date.Date) {
	l.Secret.ExpiresOn = end
	err := s.secrets.Update(ctx, l.Secret.Name, l.Secret.Version, true, l.attributes())
	if err = ignore(err, secret.ErrNotFound); err != nil {
		s.log.WarnContext(ctx, "secret.date.unwritten", "link", l.inLog(), "cause", explain.Cause(err))
	}
}

// recheckToken asks Entra for a token only, never a cache. An answer that the row does not expect
// makes it run all checks, so that there is a report about it.
func (s *Service) recheckToken(ctx context.Context, l Link) error {
	server, err := l.Server()
	if err != nil {
		return err
	}
	by, err := credential.Load(ctx, s.secrets, l.Secret.Name, l.Secret.Version, l.Secret.Kind)
	if errors.Is(err, secret.ErrNotFound) {
		_, err := s.reverify(ctx, l, lastreport.Service)
		return err
	}
	if err != nil {
		return err
	}
	asked := entra.Credentials{Authority: s.authority(server), TenantID: l.TenantID, ClientID: l.ClientID, Credential: by}
	_, err = s.source.Token(ctx, asked, l.Audience+"/.default")
	report := verification.OfToken(err, asked, l.Audience)
	if l.Unexpected(report) {
		_, err := s.reverify(ctx, l, lastreport.Service)
		return err
	}
	row, err := s.writeFinding(ctx, l, func(row *Link, now time.Time) { row.judgeAlone(ctx, report, now) })
	if err == nil && row.ID != "" {
		s.enterPending(ctx, row)
	}
	return err
}

// judge takes over what a verification of this row found, or a request for a token alone. A new
// secret that Entra does not know everywhere yet is no finding.
func (l *Link) judge(report verification.Report, now time.Time) {
	failed, _ := report.Failed()
	outcome := report.Outcome()
	if outcome == verification.OutcomeBroken && l.Secret.Spreading(failed.SecretRefused, now) {
		outcome = verification.OutcomeTransient
	}
	l.Condition = l.Condition.After(outcome, failed, string(l.Slug), now)
	switch outcome {
	case verification.OutcomeActive:
		l.Secret.Expired, l.Secret.FellBackAt = false, time.Time{}
	case verification.OutcomeExpired:
		l.Secret.Expired = true
	case verification.OutcomeBroken:
		l.Secret.Expired = l.Secret.Expired && !report.Ran(verification.CheckToken)
	}
	l.noticeCondition(failed, now)
}

// TokenAnswered updates the link's status after Entra answered to the current secret, if the answer
// says something new. If that cannot be written down, the next answer tries again.
func (s *Service) TokenAnswered(ctx context.Context, l Link, report verification.Report) {
	if !l.News(report, l.Secret, s.now()) {
		return
	}
	if _, err := s.writeFinding(ctx, l, func(row *Link, now time.Time) { row.judge(report, now) }); err != nil {
		s.log.WarnContext(ctx, "status.unwritten", "link", l.inLog(), "cause", explain.Cause(err))
	}
}

// writeFinding writes what was found to the row, and returns the row. If its settings or its secret
// were changed since it was read, nothing is written, and the row is the zero Link.
func (s *Service) writeFinding(ctx context.Context, l Link, found func(row *Link, now time.Time)) (Link, error) {
	row, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Revision != l.Revision {
			return Link{}, errLost
		}
		found(&row, s.now())
		return row, nil
	})
	return row, explain.Store(ignore(err, errLost, store.ErrNotFound), string(l.Slug))
}

// target is what a verification of the stored link is about; its Credential is not set.
func (l Link) target() (verification.Target, error) {
	server, err := l.Server()
	return verification.Target{Server: server, TenantID: l.TenantID, Audience: l.Audience, ClientID: l.ClientID, TokenOnly: l.App != ""}, err
}

// redate takes over the date of the directory. People are told again, because it may be earlier than
// the date they knew.
func (l *Link) redate(end ending.End, now time.Time) {
	if l.Secret.ExpiresOn != end.On {
		l.NoticedOn = date.Date{}
		l.Revision++
		l.UpdatedAt = now
	}
	l.Secret.ExpiresOn, l.Secret.Source, l.Secret.KeyID = end.On, end.Source, end.KeyID
}
