package trail

import (
	"context"
	"slices"
	"time"

	"fhirlink/shared/continuation"
)

// Store keeps trails. Events are added, never changed, and removed when they are old. All events of
// an organization about a slug are one trail, also those of earlier registrations of the slug.
type Store interface {
	// Append adds the event under its ID. An event that is already there stays as it is, which is
	// no error. Error: store.ErrUnavailable.
	Append(ctx context.Context, e Event) error
	// Events returns up to limit events of the organization about the slug whose IDs are greater
	// than after, in ascending order of IDs, which is the latest first.
	Events(ctx context.Context, organization, slug, after string, limit int) ([]Event, error)
	// Expire removes the events from before a time. It takes the trails in an order of its own,
	// goes on behind the trail that from names ("": the first), and stops when most is reached. It
	// reads one key of each trail and the keys of what it removes, no others. Together with an
	// error it says how far it got. Error: store.ErrUnavailable.
	Expire(ctx context.Context, before time.Time, from string, most Bounds) (Progress, error)
}

// Bounds limit one call of Expire.
type Bounds struct {
	Trails int // that are looked at
	Events int // that are removed
}

// Progress is how far a call of Expire got.
type Progress struct {
	Last    string // the last trail that holds no old event any more; where the next call goes on
	Looked  int    // trails that were looked at
	Removed int    // events
	Done    bool   // there is no further trail
}

// Oldest is the bound between the IDs of events from a time on, which sort before it, and those of
// older events, which sort behind it.
func Oldest(from time.Time) string { return ID(from.Add(-time.Microsecond), "") }

// Page reads up to limit events of a trail, the latest first, and says how to continue ("" at the
// end). The event of an hour's tokens has the ID of the hour's beginning, so that all instances write
// the same one; within a page it stands where its time belongs. A continuation of another trail is a
// problem.InvalidFields error.
func Page(ctx context.Context, s Store, organization, slug string, limit int, from string) ([]Event, string, error) {
	list := organization + "\n" + slug
	after, err := continuation.Parse(list, from)
	if err != nil {
		return nil, "", err
	}
	events, err := s.Events(ctx, organization, slug, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(events) > limit {
		events = events[:limit]
		next = continuation.After(list, events[limit-1].ID)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return b.At.Compare(a.At) })
	return events, next, nil
}
