package secrettest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirlink/shared/secret"
)

// Store implements [secret.Store] in memory and behaves as Key Vault does: names are compared
// without case, a deleted name cannot be used again, attributes belong to one version.
type Store struct {
	// Fault, unless nil, is called before and after each operation. An error that it returns
	// becomes the operation's error. An error afterwards stands for a lost answer: the operation
	// took place. op is the method's name: Get, Put, Update, Versions, Delete.
	Fault func(op, name string, before bool) error

	mu      sync.Mutex
	count   int
	secrets map[string]*Entry
}

// Entry is everything that a Store holds under one name.
type Entry struct {
	Name     string
	Deleted  bool
	Versions []Held // oldest first; none when deleted
}

// Held is one version as the store holds it.
type Held struct {
	secret.Version
	secret.Attributes
	Value secret.Value
}

// New returns an empty store.
func New() *Store { return &Store{} }

// Entries returns a copy of all entries, including deleted ones, sorted by name.
func (s *Store) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Entry
	for _, key := range slices.Sorted(maps.Keys(s.secrets)) {
		e := *s.secrets[key]
		e.Versions = slices.Clone(e.Versions)
		all = append(all, e)
	}
	return all
}

// Names returns the names of the secrets that are not deleted, sorted.
func (s *Store) Names() []string {
	var names []string
	for _, e := range s.Entries() {
		if !e.Deleted {
			names = append(names, e.Name)
		}
	}
	return names
}

// Enabled returns the ids of the enabled versions of name, oldest first.
func (s *Store) Enabled(name string) []string {
	var ids []string
	for _, e := range s.Entries() {
		if !strings.EqualFold(e.Name, name) {
			continue
		}
		for _, h := range e.Versions {
			if h.Enabled {
				ids = append(ids, h.ID)
			}
		}
	}
	return ids
}

// NewName implements [secret.Namer].
func (s *Store) NewName(kind string) string { return secret.NewName(kind) }

// Get implements [secret.Reader].
func (s *Store) Get(ctx context.Context, name, version string) (v secret.Value, err error) {
	err = s.do(ctx, "Get", name, func() error {
		h := s.held(name, version)
		if h == nil || !h.Enabled {
			return secret.ErrNotFound
		}
		v = h.Value
		return nil
	})
	return v, err
}

// Put implements [secret.Keeper].
func (s *Store) Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (version string, err error) {
	if err := secret.CheckValue(v); err != nil {
		return "", err
	}
	err = s.do(ctx, "Put", name, func() error {
		e := s.entry(name)
		if e.Deleted {
			return secret.ErrNameUsed
		}
		s.count++
		version = fmt.Sprintf("%032x", s.count)
		described := secret.Version{ID: version, CreatedAt: time.Now().UTC().Truncate(time.Second), Enabled: true}
		e.Versions = append(e.Versions, Held{described, a, v})
		return nil
	})
	return version, err
}

// Update implements [secret.Keeper].
func (s *Store) Update(ctx context.Context, name, version string, enabled bool, a secret.Attributes) error {
	return s.do(ctx, "Update", name, func() error {
		h := s.held(name, version)
		if h == nil {
			return secret.ErrNotFound
		}
		h.Enabled, h.Attributes = h.Enabled && enabled, a
		return nil
	})
}

// Versions implements [secret.Keeper].
func (s *Store) Versions(ctx context.Context, name string) (all []secret.Version, err error) {
	err = s.do(ctx, "Versions", name, func() error {
		if e := s.secrets[strings.ToLower(name)]; e != nil {
			for _, h := range e.Versions {
				all = append(all, h.Version)
			}
		}
		return nil
	})
	return all, err
}

// Delete implements [secret.Keeper]. The name cannot be used again.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.do(ctx, "Delete", name, func() error {
		if e := s.secrets[strings.ToLower(name)]; e != nil {
			e.Deleted, e.Versions = true, nil
		}
		return nil
	})
}

// do calls operation between the two calls of Fault. The store is not locked during those calls,
// so Fault may use it.
func (s *Store) do(ctx context.Context, op, name string, operation func() error) error {
	if err := secret.CheckLocal(name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", secret.ErrUnavailable, ctx.Err())
	}
	if err := s.fault(op, name, true); err != nil {
		return err
	}
	s.mu.Lock()
	err := operation()
	s.mu.Unlock()
	if lost := s.fault(op, name, false); lost != nil {
		return lost
	}
	return err
}

func (s *Store) fault(op, name string, before bool) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, name, before)
}

func (s *Store) entry(name string) *Entry {
	key := strings.ToLower(name)
	if s.secrets == nil {
		s.secrets = map[string]*Entry{}
	}
	if s.secrets[key] == nil {
		s.secrets[key] = &Entry{Name: name}
	}
	return s.secrets[key]
}

func (s *Store) held(name, version string) *Held {
	e := s.secrets[strings.ToLower(name)]
	if e == nil {
		return nil
	}
	for i := range e.Versions {
		if e.Versions[i].ID == version {
			return &e.Versions[i]
		}
	}
	return nil
}
