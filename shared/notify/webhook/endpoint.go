package webhook

import (
	"context"
	"slices"
	"time"

	"fhirlink/shared/date"
)

// Endpoint is an address to which an organization wants its events sent.
type Endpoint struct {
	ID           string // random, never reused
	Organization string // tenant id
	URL          string // https
	Description  string // for people; may be empty

	SecretName string // of the signing key, chosen by the store: random, never reused
	Keys       []Key  // newest first; none before the endpoint can be used

	CreatedAt      time.Time
	RemovedAt      time.Time // zero unless the endpoint is being removed
	DisabledAt     time.Time // zero: enabled
	DisabledReason string    // for people

	LastDelivery *Delivery `json:",omitempty"` // nil: none yet
}

// Key is a version of the signing key.
type Key struct {
	Version string    // in the secret store
	Until   time.Time `json:",omitzero"` // the key signs before this time; zero, for the newest only: no end
}

// Live reports whether the endpoint exists for its organization. An endpoint that is not live is
// incomplete or being removed.
func (e Endpoint) Live() bool { return len(e.Keys) > 0 && e.RemovedAt.IsZero() }

// Enabled reports whether events are sent to the endpoint.
func (e Endpoint) Enabled() bool { return e.Live() && e.DisabledAt.IsZero() }

// signing returns the keys that sign at the given time, newest first.
func (e Endpoint) signing(now time.Time) []Key {
	return slices.DeleteFunc(slices.Clone(e.Keys), func(k Key) bool {
		return !k.Until.IsZero() && !now.Before(k.Until)
	})
}

// OverlapEnds returns when the last of the replaced keys stops signing, or the zero time if no
// replaced key signs.
func (e Endpoint) OverlapEnds(now time.Time) (end time.Time) {
	for _, k := range e.signing(now) {
		if k.Until.After(end) {
			end = k.Until
		}
	}
	return end
}

// Stored returns e as every store returns it: times in UTC to the microsecond, and no memory
// shared with e.
func (e Endpoint) Stored() Endpoint {
	for _, t := range []*time.Time{&e.CreatedAt, &e.RemovedAt, &e.DisabledAt} {
		*t = date.Stored(*t)
	}
	e.Keys = slices.Clone(e.Keys)
	for i := range e.Keys {
		e.Keys[i].Until = date.Stored(e.Keys[i].Until)
	}
	if len(e.Keys) == 0 {
		e.Keys = nil
	}
	if e.LastDelivery != nil {
		last := *e.LastDelivery
		last.At = date.Stored(last.At)
		e.LastDelivery = &last
	}
	return e
}

// Store keeps endpoints, each under its organization and id. Insert and Update return the true
// result even if an answer was lost and the request was sent again, like those of links. The
// errors below are those of [store].
type Store interface {
	// List returns all endpoints of the organization, including those that are not Live, sorted
	// by id. Error: ErrUnavailable.
	List(ctx context.Context, organization string) ([]Endpoint, error)
	// Insert adds an endpoint. Errors: ErrExists, ErrUnavailable.
	Insert(ctx context.Context, e Endpoint) error
	// Update reads the endpoint, calls change, and writes the returned endpoint if the row is
	// still as it was read. Otherwise it starts again, so change may run more than once. If
	// change returns an error, Update writes nothing and returns that error unchanged. Other
	// errors: ErrNotFound, ErrUnavailable.
	Update(ctx context.Context, organization, id string, change func(Endpoint) (Endpoint, error)) (Endpoint, error)
	// Remove deletes the endpoint. Removing an endpoint that does not exist is no error. Error:
	// ErrUnavailable.
	Remove(ctx context.Context, organization, id string) error
}
