package linktest

import (
	"context"
	"maps"
	"slices"

	"fhirlink/shared/link"
)

// Append implements [link.Trail].
func (s *Stores) Append(ctx context.Context, e link.Event) error {
	return s.operate(ctx, "Append", e.Slug, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		about := entry{e.Organization, e.Slug}
		if s.trail[about] == nil {
			s.trail[about] = map[string]link.Event{}
		}
		if _, there := s.trail[about][e.ID]; !there {
			s.trail[about][e.ID] = e.Stored()
		}
		return nil
	})
}

// Events implements [link.Trail].
func (s *Stores) Events(ctx context.Context, organization string, slug link.Slug, after string, limit int) (events []link.Event, err error) {
	err = s.operate(ctx, "Events", slug, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		kept := s.trail[entry{organization, slug}]
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
