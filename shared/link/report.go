package link

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// Report returns the report of the last verification of a link of the organization. Errors:
// LinkNotFound, ReportNotFound, UpstreamUnavailable.
func (s *Service) Report(ctx context.Context, organization, slug string) (lastreport.Report, error) {
	l, err := s.own(ctx, organization, slug)
	if err != nil {
		return lastreport.Report{}, err
	}
	r, err := s.stores.LastReport(ctx, slug)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return lastreport.Report{}, explain.Store(err, slug)
	}
	if err != nil || r.LinkID != l.ID || r.At.Before(l.VerifiedAt) { // a later one was not kept
		return lastreport.Report{}, problem.New(problem.ReportNotFound, "No report of the link %.64q is kept. Verify the link (API: POST /api/verify), or wait for the next verification (API: recheckAt of the link).", slug)
	}
	return r, nil
}

// putReport keeps the report of a verification whose finding is on the row. If that fails, the one
// before stays: nothing depends on it.
func (s *Service) putReport(ctx context.Context, l Link, by lastreport.By, report verification.Report) {
	if l.App != "" { // nobody can read it
		return
	}
	ctx, cancel := aside(ctx)
	defer cancel()
	err := s.stores.PutReport(ctx, string(l.Slug), lastreport.Report{LinkID: l.ID, At: l.VerifiedAt, By: by, Report: report})
	if err != nil {
		s.log.WarnContext(ctx, "report.unwritten", "link", l.inLog(), "cause", explain.Cause(err))
	}
}

// Reason is why the link is not active; nil when it is, and for a row of an earlier version until it
// is verified again. A pure function of the row and the time.
func (l Link) Reason(now time.Time) *condition.Problem {
	switch l.Status(now) {
	case condition.Active:
		return nil
	case condition.Expired:
		if !l.Secret.Expired { // by its date alone, whatever the last verification found
			c := intake.Check(l.Secret.ExpiresOn, now)
			return &condition.Problem{Check: c.ID, Code: c.Code, Message: c.Message, Fix: c.Fix, Since: l.Secret.ExpiresOn.AddDays(1).Time()}
		}
	}
	return l.Problem
}

// RecheckAt is when the timer verifies the link next; zero: it is not planned.
func (l Link) RecheckAt() time.Time {
	if l.NextVerify.Before(l.NotBefore) && !l.NextVerify.IsZero() {
		return l.NotBefore
	}
	return l.NextVerify
}
