package link

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// Verify verifies a stored link with a fresh token and updates its status. What it finds is
// in the report, not in the error.
func (s *Service) Verify(ctx context.Context, organization, slug string) (verification.Report, error) {
	l, err := s.own(ctx, organization, slug)
	if err != nil {
		return verification.Report{}, err
	}
	return s.reverify(ctx, l)
}

// reverify is Verify for a row that was read already.
func (s *Service) reverify(ctx context.Context, l Link) (verification.Report, error) {
	target, err := l.target()
	if err != nil {
		return verification.Report{}, err
	}
	target.Secret, err = s.Secrets.Get(ctx, l.Secret.Name, l.Secret.Version)
	var report verification.Report
	switch {
	case err == nil:
		report = s.verify(ctx, target, l.Secret.ExpiresOn)
	case errors.Is(err, secret.ErrNotFound):
		report = verification.NotRun(secretMissing())
	default:
		return verification.Report{}, vaultProblem(err, string(l.Slug))
	}
	return report, s.record(ctx, l, func(row *Link, now time.Time) {
		row.judge(report, now)
		row.VerifiedAt = now
	})
}

// recheckToken asks for a token only, afresh, and lets the answer change the link's status.
func (s *Service) recheckToken(ctx context.Context, l Link) error {
	c, err := s.credentialOf(l)
	if err != nil {
		return err
	}
	value, err := s.Secrets.Get(ctx, l.Secret.Name, l.Secret.Version)
	if errors.Is(err, secret.ErrNotFound) {
		_, err := s.reverify(ctx, l)
		return err
	}
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, c, value)
	report := tokenReport(err)
	return s.record(ctx, l, func(row *Link, now time.Time) { row.judge(report, now) })
}

// tokenReport is the verification that a request for a token amounts to.
func tokenReport(answer error) verification.Report {
	check := verification.Check{ID: verification.CheckToken, Status: verification.Fail}
	var refusal *entra.Refusal
	switch {
	case answer == nil:
		check.Status = verification.Pass
	case !errors.As(answer, &refusal) || refusal.Class() == entra.Transient:
		check.Outcome = verification.OutcomeTransient
	case refusal.Class() == entra.Expired:
		check.Outcome = verification.OutcomeExpired
	default:
		check.Outcome = verification.OutcomeBroken
	}
	return verification.Report{Checks: []verification.Check{check}}
}

// record writes what was found to the row, unless its settings or its secret were changed
// since it was read.
func (s *Service) record(ctx context.Context, l Link, found func(row *Link, now time.Time)) error {
	_, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID || row.Revision != l.Revision {
			return Link{}, errLost
		}
		found(&row, s.Now())
		return row, nil
	})
	return storeProblem(ignore(err, errLost, ErrNotFound), string(l.Slug))
}

// target is what a verification of the stored link is about; its Secret is not set.
func (l Link) target() (verification.Target, error) {
	server, err := l.server()
	return verification.Target{Server: server, TenantID: l.TenantID, Audience: l.Audience, ClientID: l.ClientID}, err
}

// secretMissing is the finding that the store of secrets has not what the row names: somebody
// removed or disabled it there by hand.
func secretMissing() verification.Check {
	return verification.Check{
		ID: verification.CheckFields, Title: verification.Title(verification.CheckFields),
		Status: verification.Fail, Code: "secret_missing",
		Message: "The client secret of this link is no longer in the secret store.",
		Fix:     "Send a client secret with PUT /api/links/{slug}/secret. If nobody deleted it on purpose, ask the operator to look for it among the vault's deleted secrets.",
		Outcome: verification.OutcomeBroken,
	}
}
