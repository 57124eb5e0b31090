package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link/trail"
)

// trailBucket maps organization, slug and ID → event as JSON.
var trailBucket = []byte("links.trail")

// Append implements [trail.Store].
func (s *Store) Append(ctx context.Context, e trail.Event) error {
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

// Events implements [trail.Store].
func (s *Store) Events(ctx context.Context, organization, slug, after string, limit int) (events []trail.Event, err error) {
	prefix := trailPrefix(organization, slug)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(trailBucket).Cursor()
		for k, data := c.Seek(append(bytes.Clone(prefix), after...)); len(events) < limit && bytes.HasPrefix(k, prefix); k, data = c.Next() {
			if string(k[len(prefix):]) <= after {
				continue
			}
			var e trail.Event
			if err := json.Unmarshal(data, &e); err != nil {
				return fmt.Errorf("the event %q of link %q in the links' file cannot be read: %w; restore the file, or remove that event", k[len(prefix):], slug, err)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

func trailPrefix(organization, slug string) []byte {
	return []byte(organization + "\x00" + slug + "\x00")
}
