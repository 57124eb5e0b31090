package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
)

// trailBucket maps organization, slug and ID → event as JSON.
var trailBucket = []byte("links.trail")

// Append implements [link.Trail].
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

// Events implements [link.Trail].
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
