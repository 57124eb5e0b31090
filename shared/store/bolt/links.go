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

// linksBucket maps slug → row as JSON.
var linksBucket = []byte("links")

// linkRow is the value in the bucket of links.
type linkRow struct {
	OpID string    // random id of the last write; two reads with the same OpID have read the same row
	Due  time.Time // time of the row's entry in the schedule, which may differ from Link.Due; zero: no entry
	Link link.Link
}

// Get implements [link.Store].
func (s *Store) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	found, err := s.readLink(ctx, slug)
	return found.Link, err
}

// Insert implements [link.Store].
func (s *Store) Insert(ctx context.Context, l link.Link) error {
	swapped, err := s.swapLink(ctx, l.Slug, linkRow{}, &l)
	if err == nil && !swapped {
		return fmt.Errorf("%w: link %s", store.ErrExists, l.Slug)
	}
	return err
}

// Update implements [link.Store].
func (s *Store) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	for range attempts {
		found, err := s.readLink(ctx, slug)
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
		swapped, err := s.swapLink(ctx, slug, found, &next)
		if err != nil {
			return link.Link{}, err
		}
		if swapped {
			return next.Stored(), nil
		}
	}
	return link.Link{}, busyLink(slug)
}

// Remove implements [link.Store].
func (s *Store) Remove(ctx context.Context, slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	for range attempts {
		found, err := s.readLink(ctx, slug)
		if errors.Is(err, store.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !still(found.Link.Stored()) {
			return false, nil
		}
		if swapped, err := s.swapLink(ctx, slug, found, nil); swapped || err != nil {
			return swapped, err
		}
	}
	return false, busyLink(slug)
}

// Rows returns up to limit rows in the order of their slugs, those behind after ("": the first), and
// the slug to go on behind ("" at the end). It leaves out rows that cannot be read.
func (s *Store) Rows(ctx context.Context, after link.Slug, limit int) (rows []link.Link, next link.Slug, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(linksBucket).Cursor()
		k, _ := c.Seek([]byte(after))
		if k != nil && string(k) == string(after) {
			k, _ = c.Next()
		}
		for n := 0; k != nil; n++ {
			if n == limit {
				return nil
			}
			next = link.Slug(k)
			if found, err := loadLink(tx, next); err == nil {
				rows = append(rows, found.Link)
			}
			k, _ = c.Next()
		}
		next = ""
		return nil
	})
	return rows, next, err
}

func (s *Store) readLink(ctx context.Context, slug link.Slug) (found linkRow, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		found, err = loadLink(tx, slug)
		return err
	})
	if err == nil && found.OpID == "" {
		err = fmt.Errorf("%w: link %s", store.ErrNotFound, slug)
	}
	return found, err
}

// swapLink replaces the row that was found with next, moves its entry in the schedule, and
// reports whether it did. The zero row means that there is no row, and a nil next removes it.
func (s *Store) swapLink(ctx context.Context, slug link.Slug, found linkRow, next *link.Link) (swapped bool, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		current, err := loadLink(tx, slug)
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
		return saveLink(tx, linkRow{rand.Text(), l.Due(), l})
	})
	return swapped && err == nil, err
}

// loadLink returns the zero row when there is no row.
func loadLink(tx *bbolt.Tx, slug link.Slug) (found linkRow, err error) {
	data := tx.Bucket(linksBucket).Get([]byte(slug))
	if data == nil {
		return linkRow{}, nil
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
	return linkRow{}, fmt.Errorf("the row of link %q in the links' file cannot be read: %w; restore the file, or remove that row", slug, err)
}

func saveLink(tx *bbolt.Tx, r linkRow) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("link %q cannot be written: %w", r.Link.Slug, err)
	}
	if err := tx.Bucket(linksBucket).Put([]byte(r.Link.Slug), data); err != nil {
		return err
	}
	return schedule(tx, r)
}

func busyLink(slug link.Slug) error {
	return fmt.Errorf("%w: link %s was changed by others %d times in a row", store.ErrUnavailable, slug, attempts)
}
