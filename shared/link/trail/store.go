package trail

import (
	"context"

	"fhirlink/shared/continuation"
)

// Store keeps trails. Events are added and never changed. All events of an organization about a
// slug are one trail, also those of earlier registrations of the slug.
type Store interface {
	// Append adds the event under its ID. An event that is already there stays as it is, which is
	// no error. Error: store.ErrUnavailable.
	Append(ctx context.Context, e Event) error
	// Events returns up to limit events of the organization about the slug whose IDs are greater
	// than after, in ascending order of IDs, which is the latest first.
	Events(ctx context.Context, organization, slug, after string, limit int) ([]Event, error)
}

// Page reads up to limit events of a trail, the latest first, and says how to continue ("" at the
// end). A continuation of another trail is a problem.InvalidFields error.
func Page(ctx context.Context, s Store, organization, slug string, limit int, from string) ([]Event, string, error) {
	list := organization + "\n" + slug
	after, err := continuation.Parse(list, from)
	if err != nil {
		return nil, "", err
	}
	events, err := s.Events(ctx, organization, slug, after, limit+1)
	if err != nil || len(events) <= limit {
		return events, "", err
	}
	events = events[:limit]
	return events, continuation.After(list, events[limit-1].ID), nil
}
