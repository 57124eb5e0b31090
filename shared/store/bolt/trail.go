package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// Append is link.Trail's.
func (s *Store) Append(ctx context.Context, e link.Event) error {
	data, err := json.Marshal(e.Stored())
	if err != nil {
		return fmt.Errorf("event %q cannot be written: %w", e.ID, err)
	}
	key := append(trailPrefix(e.Organization, e.Slug), e.ID...)
	return s.update(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(trailBucket)
		if b.Get(key) != nil {
			return nil
		}
		return b.Put(key, data)
	})
}

// Events is link.Trail's.
func (s *Store) Events(ctx context.Context, organization string, slug link.Slug, after string, limit int) (events []link.Event, err error) {
	prefix := trailPrefix(organization, slug)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(trailBucket).Cursor()
		for k, data := c.Seek(append(bytes.Clone(prefix), after...)); len(events) < limit && bytes.HasPrefix(k, prefix); k, data = c.Next() {
			if string(k[len(prefix):]) <= after {
				continue
			}
			var e link.Event
			if err := json.Unmarshal(data, &e); err != nil {
				return fmt.Errorf("the event %q of link %q in the links' file cannot be read: %w; restore the file, or remove that event", k[len(prefix):], slug, err)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

func trailPrefix(organization string, slug link.Slug) []byte {
	return []byte(organization + "\x00" + string(slug) + "\x00")
}

// cell is what the bucket of cells holds.
type cell struct {
	OpID  string // random, of the last write
	Value string
}

// Cell is store.Cells'.
func (s *Store) Cell(ctx context.Context, name string) (found store.Cell, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		found, err = loadCell(tx, name)
		return err
	})
	return found, err
}

// Swap is store.Cells'.
func (s *Store) Swap(ctx context.Context, name string, old store.Cell, value string) (next store.Cell, swapped bool, err error) {
	next = store.Cell{Value: value, Version: rand.Text()}
	data, err := json.Marshal(cell{next.Version, value})
	if err != nil {
		return store.Cell{}, false, fmt.Errorf("cell %q cannot be written: %w", name, err)
	}
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		current, err := loadCell(tx, name)
		if err != nil || current.Version != old.Version {
			return err
		}
		swapped = true
		return tx.Bucket(cellsBucket).Put([]byte(name), data)
	})
	if err != nil || !swapped {
		return store.Cell{}, false, err
	}
	return next, true, nil
}

func loadCell(tx *bbolt.Tx, name string) (store.Cell, error) {
	data := tx.Bucket(cellsBucket).Get([]byte(name))
	if data == nil {
		return store.Cell{}, nil
	}
	var c cell
	if err := json.Unmarshal(data, &c); err != nil || c.OpID == "" {
		return store.Cell{}, fmt.Errorf("the cell %q in the links' file cannot be read; restore the file, or remove that cell", name)
	}
	return store.Cell{Value: c.Value, Version: c.OpID}, nil
}
