// Package secrettest holds what tests of secrets need: the conformance suite that every
// [secret.Store] passes ([Run]), a store in memory whose network can fail ([Store]), and a
// Key Vault on the wire ([VaultServer]).
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

// Store keeps secrets in memory and behaves as Key Vault does: names are compared without
// case, a deleted name is never usable again, attributes belong to one version.
type Store struct {
	// Fault, unless nil, runs before and after each operation; an error it returns becomes
	// the operation's. After means that the operation took place and its answer got lost.
	// op is the method's name: Get, Put, Update, Versions, Delete.
	Fault func(op, name string, before bool) error

	mu      sync.Mutex
	count   int
	secrets map[string]*Entry
}

// Entry is all that a Store knows of one name.
type Entry struct {
	Name     string
	Deleted  bool
	Versions []Held // oldest first; none when deleted
}

// Held is one version as it is stored.
type Held struct {
	secret.Version
	secret.Attributes
	Value secret.Value
}

// New returns an empty store.
func New() *Store { return &Store{} }

// Entries returns a copy of everything in the store, deleted names included, by name.
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

// Names returns the names that are not deleted, sorted.
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

// NewName is secret.Namer's.
func (s *Store) NewName(kind string) string { return secret.NewName(kind) }

// Get returns one enabled version.
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

// Put adds a version.
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

// Update changes a version's attributes, and disables it unless enabled.
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

// Versions lists the versions of name.
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

// Delete removes all versions and bars the name.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.do(ctx, "Delete", name, func() error {
		if e := s.secrets[strings.ToLower(name)]; e != nil {
			e.Deleted, e.Versions = true, nil
		}
		return nil
	})
}

// do runs one operation between the two calls of Fault, which may themselves use the store.
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
