package webhook

import (
	"context"
	"slices"
	"time"
)

// Endpoint is where an organization wants its events sent.
type Endpoint struct {
	ID           string // random, never used again
	Organization string // tenant id
	URL          string // https
	Description  string // for people; may be empty

	SecretName string // of the signing key, chosen by the store: random, never reused
	Keys       []Key  // newest first; none before the endpoint is usable

	CreatedAt      time.Time
	RemovedAt      time.Time // zero unless the endpoint is being removed
	DisabledAt     time.Time // zero: enabled
	DisabledReason string    // for people
}

// Key is a version of the signing key.
type Key struct {
	Version string    // in the secret store
	Until   time.Time `json:",omitzero"` // it signs before then; zero: no end, of the newest only
}

// Live tells whether the endpoint exists for its organization. One that is not is half made
// or half removed.
func (e Endpoint) Live() bool { return len(e.Keys) > 0 && e.RemovedAt.IsZero() }

// Enabled tells whether events are sent to the endpoint.
func (e Endpoint) Enabled() bool { return e.Live() && e.DisabledAt.IsZero() }

// signing are the keys that sign at that time, newest first.
func (e Endpoint) signing(now time.Time) []Key {
	return slices.DeleteFunc(slices.Clone(e.Keys), func(k Key) bool {
		return !k.Until.IsZero() && !now.Before(k.Until)
	})
}

// OverlapEnds is when the last of the replaced keys stops to sign; zero if none signs.
func (e Endpoint) OverlapEnds(now time.Time) (end time.Time) {
	for _, k := range e.signing(now) {
		if k.Until.After(end) {
			end = k.Until
		}
	}
	return end
}

// Stored is e as every store gives it back: times in UTC to the microsecond, and no memory
// shared with e.
func (e Endpoint) Stored() Endpoint {
	for _, t := range []*time.Time{&e.CreatedAt, &e.RemovedAt, &e.DisabledAt} {
		*t = stored(*t)
	}
	e.Keys = slices.Clone(e.Keys)
	for i := range e.Keys {
		e.Keys[i].Until = stored(e.Keys[i].Until)
	}
	if len(e.Keys) == 0 {
		e.Keys = nil
	}
	return e
}

func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Store keeps endpoints, each under its organization and id. Insert and Update answer truly
// although an answer got lost and was asked for again, as those of links do.
// The errors that the methods name are those of [store].
type Store interface {
	// List returns all endpoints of the organization, those that are not Live too, by id.
	// ErrUnavailable.
	List(ctx context.Context, organization string) ([]Endpoint, error)
	// Insert adds an endpoint. ErrExists, ErrUnavailable.
	Insert(ctx context.Context, e Endpoint) error
	// Update reads the endpoint, calls change, and writes what it returns if nobody else
	// wrote in between; else it starts again, so change may run more than once. An error of
	// change is returned as it is and nothing is written. ErrNotFound, ErrUnavailable.
	Update(ctx context.Context, organization, id string, change func(Endpoint) (Endpoint, error)) (Endpoint, error)
	// Remove deletes the endpoint. Removing what is not there is no error. ErrUnavailable.
	Remove(ctx context.Context, organization, id string) error
}
