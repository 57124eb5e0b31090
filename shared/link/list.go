package link

import (
	"context"
	"time"

	"fhirlink/shared/continuation"
	"fhirlink/shared/flight"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/store"
)

// Filter is which links a listing is about. The zero Filter is about all of them.
type Filter struct {
	Status         condition.Status // empty: any
	SecretState    SecretState      // empty: any
	ExpiringWithin *int             // days; links whose secrets end by then or have ended; nil: any
}

// matches reports whether a link is among those that the filter is about. A secret whose end is
// not known does not end within any number of days.
func (f Filter) matches(l Link, now time.Time) bool {
	state := l.SecretState(now)
	if f.ExpiringWithin != nil && state != SecretExpired && (l.Secret.ExpiresOn.IsZero() || l.Secret.DaysLeft(now) > *f.ExpiringWithin) {
		return false
	}
	return (f.Status == "" || l.Status(now) == f.Status) && (f.SecretState == "" || state == f.SecretState)
}

// List returns up to limit of the organization's links that f is about, in the order of their
// slugs, and how to continue ("" at the end). A continuation that is not this organization's is an
// InvalidFields error.
func (s *Service) List(ctx context.Context, organization string, f Filter, limit int, from string) ([]Link, string, error) {
	now := s.now()
	last, err := continuation.Parse(organization, from)
	if err != nil {
		return nil, "", err
	}
	after := Slug(last)
	links := make([]Link, 0, limit)
	for {
		want := limit - len(links)
		slugs, err := s.stores.Slugs(ctx, organization, after, want+1)
		if err != nil {
			return nil, "", explain.Store(err, "")
		}
		more := len(slugs) > want
		slugs = slugs[:min(want, len(slugs))]
		page, err := s.read(ctx, slugs)
		if err != nil {
			return nil, "", err
		}
		for _, l := range page {
			if l.visibleTo(organization) && f.matches(l, now) {
				links = append(links, l)
			}
		}
		if !more {
			return links, "", nil
		}
		after = slugs[len(slugs)-1]
		if len(links) == limit {
			return links, continuation.After(organization, string(after)), nil
		}
	}
}

// read gets the rows of slugs in their order, leaving out those that are gone.
func (s *Service) read(ctx context.Context, slugs []Slug) ([]Link, error) {
	rows := make([]Link, len(slugs))
	err := flight.Each(ctx, len(slugs), 8, func(ctx context.Context, i int) (err error) {
		rows[i], err = s.stores.Get(ctx, slugs[i])
		return ignore(err, store.ErrNotFound)
	})
	if err != nil {
		return nil, explain.Store(err, "")
	}
	found := rows[:0]
	for _, l := range rows {
		if l.Slug != "" {
			found = append(found, l)
		}
	}
	return found, nil
}
