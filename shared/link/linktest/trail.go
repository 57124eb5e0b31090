package linktest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

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

// Expire implements [trail.Store].
func (s *Stores) Expire(ctx context.Context, before time.Time, from string, most trail.Bounds) (p trail.Progress, err error) {
	p.Last = from
	err = s.operate(ctx, "Expire", "", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, about := range slices.SortedFunc(maps.Keys(s.trail), entry.compare) {
			if about.place() <= from {
				continue
			}
			if p.Looked == most.Trails {
				return nil
			}
			p.Looked++
			for id := range s.trail[about] {
				if id < trail.Oldest(before) {
					continue
				}
				if p.Removed == most.Events {
					return nil
				}
				delete(s.trail[about], id)
				p.Removed++
			}
			p.Last = about.place()
		}
		p.Done = true
		return nil
	})
	return p, err
}

// place names a trail. No slug has a blank in it.
func (e entry) place() string { return e.organization + " " + string(e.slug) }

func (e entry) compare(other entry) int { return cmp.Compare(e.place(), other.place()) }
