package linktest

import (
	"context"
	"maps"
	"slices"

	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
)

// Append implements [trail.Store].
func (s *Stores) Append(ctx context.Context, e trail.Event) error {
	return s.operate(ctx, "Append", link.Slug(e.Slug), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		about := entry{e.Organization, link.Slug(e.Slug)}
		if s.trail[about] == nil {
			s.trail[about] = map[string]trail.Event{}
		}
		if _, there := s.trail[about][e.ID]; !there {
			s.trail[about][e.ID] = e.Stored()
		}
		return nil
	})
}

// Events implements [trail.Store].
func (s *Stores) Events(ctx context.Context, organization, slug, after string, limit int) (events []trail.Event, err error) {
	err = s.operate(ctx, "Events", link.Slug(slug), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		kept := s.trail[entry{organization, link.Slug(slug)}]
		for _, id := range slices.Sorted(maps.Keys(kept)) {
			if id > after && len(events) < limit {
				events = append(events, kept[id])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}
