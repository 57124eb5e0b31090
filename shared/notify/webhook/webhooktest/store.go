package webhooktest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

// Store implements [webhook.Store] in memory.
type Store struct {
	// Fault, unless nil, is called before and after each operation. An error that it returns
	// becomes the operation's error. Before means that nothing took place. After means that the
	// operation took place and its answer was lost. op is the method's name.
	Fault func(op string, before bool) error

	mu     sync.Mutex
	writes int64 // counts every write; the rows' versions come from it
	rows   map[key]row
}

type key struct{ organization, id string }

type row struct {
	endpoint webhook.Endpoint
	version  int64
}

var _ webhook.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{rows: map[key]row{}} }

// List implements [webhook.Store].
func (s *Store) List(ctx context.Context, organization string) (all []webhook.Endpoint, err error) {
	err = s.operate(ctx, "List", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, r := range s.rows {
			if k.organization == organization {
				all = append(all, r.endpoint.Stored())
			}
		}
		slices.SortFunc(all, func(a, b webhook.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Insert implements [webhook.Store].
func (s *Store) Insert(ctx context.Context, e webhook.Endpoint) error {
	return s.operate(ctx, "Insert", func() error {
		if !s.swap(key{e.Organization, e.ID}, 0, e) {
			return fmt.Errorf("%w: webhook %s", store.ErrExists, e.ID)
		}
		return nil
	})
}

// Update implements [webhook.Store]. The store is not locked while change runs.
func (s *Store) Update(ctx context.Context, organization, id string, change func(webhook.Endpoint) (webhook.Endpoint, error)) (e webhook.Endpoint, err error) {
	err = s.operate(ctx, "Update", func() error {
		e, err = s.update(ctx, key{organization, id}, change)
		return err
	})
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return e, nil
}

func (s *Store) update(ctx context.Context, k key, change func(webhook.Endpoint) (webhook.Endpoint, error)) (webhook.Endpoint, error) {
	for range attempts {
		found, ok := s.read(k)
		if !ok {
			return webhook.Endpoint{}, fmt.Errorf("%w: webhook %s", store.ErrNotFound, k.id)
		}
		next, err := change(found.endpoint.Stored())
		switch {
		case err != nil:
			return webhook.Endpoint{}, err
		case key{next.Organization, next.ID} != k:
			return webhook.Endpoint{}, fmt.Errorf("an update of webhook %q cannot turn it into %q", k.id, next.ID)
		case ctx.Err() != nil:
			return webhook.Endpoint{}, ended(ctx)
		case s.swap(k, found.version, next):
			return next.Stored(), nil
		}
	}
	return webhook.Endpoint{}, fmt.Errorf("%w: webhook %s was changed by others %d times in a row", store.ErrUnavailable, k.id, attempts)
}

// Remove implements [webhook.Store].
func (s *Store) Remove(ctx context.Context, organization, id string) error {
	return s.operate(ctx, "Remove", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.rows, key{organization, id})
		return nil
	})
}

// attempts limits how often a change is retried because of concurrent writes.
const attempts = 100

// operate calls do between the two calls of Fault, unless ctx has ended.
func (s *Store) operate(ctx context.Context, op string, do func() error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if err := s.fault(op, true); err != nil {
		return err
	}
	err := do()
	if lost := s.fault(op, false); lost != nil {
		return lost
	}
	return err
}

func (s *Store) fault(op string, before bool) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, before)
}

func (s *Store) read(k key) (row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.rows[k]
	return found, ok
}

// swap writes e if the row has the given version (0: no row), and reports whether it did.
func (s *Store) swap(k key, version int64, e webhook.Endpoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[k].version != version {
		return false
	}
	s.writes++
	s.rows[k] = row{e.Stored(), s.writes}
	return true
}

func ended(ctx context.Context) error {
	return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
}
