// Package bolt keeps links in one embedded file: a [link.Stores] over bbolt.
//
// Buckets: "links" (slug → the row as JSON), "links.due" (due time and slug → nothing),
// "links.roster" (organization and slug → receipt), "links.trail" (organization, slug and ID →
// the event as JSON), "links.cells" (name → value), and "webhooks" (see [Endpoints]). A row and
// its entry in the index change in one transaction. No transaction is open while a caller's
// function runs, so that function may use the store.
package bolt

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

var (
	linksBucket  = []byte("links")
	dueBucket    = []byte("links.due")
	rosterBucket = []byte("links.roster")
	trailBucket  = []byte("links.trail")
	cellsBucket  = []byte("links.cells")
)

// attempts bounds how often a change is made anew because somebody else wrote meanwhile.
const attempts = 100

// Store keeps links in a file.
type Store struct{ db *bbolt.DB }

var _ link.Stores = (*Store)(nil)

// New prepares an open file. Open it with a time-out: a file that another process has open
// blocks for ever otherwise.
func New(db *bbolt.DB) (*Store, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{linksBucket, dueBucket, rosterBucket, trailBucket, cellsBucket, webhooksBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the links' file: %w", err)
	}
	return &Store{db}, nil
}

// row is what the bucket of links holds.
type row struct {
	OpID string    // random, of the last write: two readings with one OpID are of one row
	Due  time.Time // where the index has the row, whatever Link.Due says by now; zero: nowhere
	Link link.Link
}

// Get is link.Store's.
func (s *Store) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	found, err := s.read(ctx, slug)
	return found.Link, err
}

// Insert is link.Store's.
func (s *Store) Insert(ctx context.Context, l link.Link) error {
	swapped, err := s.swap(ctx, l.Slug, row{}, &l)
	if err == nil && !swapped {
		return fmt.Errorf("%w: link %s", store.ErrExists, l.Slug)
	}
	return err
}

// Update is link.Store's.
func (s *Store) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	for range attempts {
		found, err := s.read(ctx, slug)
		if err != nil {
			return link.Link{}, err
		}
		next, err := change(found.Link.Stored())
		if err != nil {
			return link.Link{}, err
		}
		if next.Slug != slug {
			return link.Link{}, fmt.Errorf("an update of link %q cannot turn it into %q", slug, next.Slug)
		}
		swapped, err := s.swap(ctx, slug, found, &next)
		if err != nil {
			return link.Link{}, err
		}
		if swapped {
			return next.Stored(), nil
		}
	}
	return link.Link{}, busy(slug)
}

// Remove is link.Store's.
func (s *Store) Remove(ctx context.Context, slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	for range attempts {
		found, err := s.read(ctx, slug)
		if errors.Is(err, store.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !still(found.Link.Stored()) {
			return false, nil
		}
		if swapped, err := s.swap(ctx, slug, found, nil); swapped || err != nil {
			return swapped, err
		}
	}
	return false, busy(slug)
}

func (s *Store) read(ctx context.Context, slug link.Slug) (found row, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		found, err = load(tx, slug)
		return err
	})
	if err == nil && found.OpID == "" {
		err = fmt.Errorf("%w: link %s", store.ErrNotFound, slug)
	}
	return found, err
}

// swap puts next in the place of the row that was found and moves the index's entry; it
// tells whether it did. The zero row stands for none, and so does a nil next.
func (s *Store) swap(ctx context.Context, slug link.Slug, found row, next *link.Link) (swapped bool, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		current, err := load(tx, slug)
		if err != nil || current.OpID != found.OpID {
			return err
		}
		swapped = true
		if err := unschedule(tx, current); err != nil {
			return err
		}
		if next == nil {
			return tx.Bucket(linksBucket).Delete([]byte(slug))
		}
		l := next.Stored()
		return save(tx, row{rand.Text(), l.Due(), l})
	})
	return swapped && err == nil, err
}

// load returns the zero row when there is none.
func load(tx *bbolt.Tx, slug link.Slug) (found row, err error) {
	data := tx.Bucket(linksBucket).Get([]byte(slug))
	if data == nil {
		return row{}, nil
	}
	err = json.Unmarshal(data, &found)
	switch {
	case err != nil:
	case found.OpID == "":
		err = errors.New("it has no OpID")
	case found.Link.Slug != slug:
		err = fmt.Errorf("it says that it is of %q", found.Link.Slug)
	default:
		found.Link = found.Link.Stored()
		return found, nil
	}
	return row{}, fmt.Errorf("the row of link %q in the links' file cannot be read: %w; restore the file, or remove that row", slug, err)
}

func save(tx *bbolt.Tx, r row) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("link %q cannot be written: %w", r.Link.Slug, err)
	}
	if err := tx.Bucket(linksBucket).Put([]byte(r.Link.Slug), data); err != nil {
		return err
	}
	return schedule(tx, r)
}

func (s *Store) view(ctx context.Context, do func(*bbolt.Tx) error) error {
	return transact(ctx, s.db.View, do)
}

func (s *Store) update(ctx context.Context, do func(*bbolt.Tx) error) error {
	return transact(ctx, s.db.Update, do)
}

// transact tells the errors of do, which are about one row, from those of the file.
func transact(ctx context.Context, run func(func(*bbolt.Tx) error) error, do func(*bbolt.Tx) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
	}
	var failed error
	err := run(func(tx *bbolt.Tx) error {
		failed = do(tx)
		return failed
	})
	if err != nil && failed == nil {
		return fmt.Errorf("%w: the links' file: %w", store.ErrUnavailable, err)
	}
	return err
}

func busy(slug link.Slug) error {
	return fmt.Errorf("%w: link %s was changed by others %d times in a row", store.ErrUnavailable, slug, attempts)
}
