package link

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/continuation"
	"fhirlink/shared/store"
)

// List returns up to limit links of the organization in the order of their slugs, and how to
// continue ("" at the end). A continuation that is not this organization's is an
// InvalidFields error.
func (s *Service) List(ctx context.Context, organization string, limit int, from string) ([]Link, string, error) {
	return s.list(ctx, organization, limit, from, func(Link) bool { return true })
}

// ListExpiring is List for the links whose secrets end within so many days, or have ended. It
// leaves out secrets whose end is not known.
func (s *Service) ListExpiring(ctx context.Context, organization string, days, limit int, from string) ([]Link, string, error) {
	now := s.now()
	return s.list(ctx, organization, limit, from, func(l Link) bool {
		return l.SecretState(now) == SecretExpired || !l.Secret.ExpiresOn.IsZero() && l.DaysLeft(now) <= days
	})
}

func (s *Service) list(ctx context.Context, organization string, limit int, from string, wanted func(Link) bool) ([]Link, string, error) {
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
			return nil, "", storeProblem(err, "")
		}
		more := len(slugs) > want
		slugs = slugs[:min(want, len(slugs))]
		page, err := s.read(ctx, slugs)
		if err != nil {
			return nil, "", err
		}
		for _, l := range page {
			if l.visibleTo(organization) && wanted(l) {
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
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, slug := range slugs {
		group.Go(func() (err error) {
			defer func() {
				if recover() != nil { // errgroup would end the process
					err = fmt.Errorf("panic: %s", debug.Stack())
				}
			}()
			rows[i], err = s.stores.Get(ctx, slug)
			return ignore(err, store.ErrNotFound)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, storeProblem(err, "")
	}
	found := rows[:0]
	for _, l := range rows {
		if l.Slug != "" {
			found = append(found, l)
		}
	}
	return found, nil
}
