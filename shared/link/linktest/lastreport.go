package linktest

import (
	"context"
	"fmt"

	"fhirlink/shared/link"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/store"
)

// PutReport implements [lastreport.Store].
func (s *Stores) PutReport(ctx context.Context, slug string, r lastreport.Report) error {
	return s.operate(ctx, "PutReport", link.Slug(slug), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reports[slug] = r.Stored()
		return nil
	})
}

// LastReport implements [lastreport.Store].
func (s *Stores) LastReport(ctx context.Context, slug string) (r lastreport.Report, err error) {
	err = s.operate(ctx, "LastReport", link.Slug(slug), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		found, ok := s.reports[slug]
		if !ok {
			return fmt.Errorf("%w: report of link %s", store.ErrNotFound, slug)
		}
		r = found.Stored()
		return nil
	})
	if err != nil {
		return lastreport.Report{}, err
	}
	return r, nil
}

// RemoveReport implements [lastreport.Store].
func (s *Stores) RemoveReport(ctx context.Context, slug string) error {
	return s.operate(ctx, "RemoveReport", link.Slug(slug), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.reports, slug)
		return nil
	})
}
