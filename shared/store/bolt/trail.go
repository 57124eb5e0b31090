package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// Expire implements [trail.Store]. A place is the prefix of a trail's keys.
func (s *Store) Expire(ctx context.Context, before time.Time, from string, most trail.Bounds) (trail.Progress, error) {
	p := trail.Progress{Last: from}
	var old [][]byte
	looked := p
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		looked, old = expired(tx.Bucket(trailBucket).Cursor(), trail.Oldest(before), p, most)
		return nil
	})
	if err != nil || len(old) == 0 { // a transaction that changes nothing would still wait for the disk
		return looked, err
	}
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		for _, key := range old {
			if err := tx.Bucket(trailBucket).Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	looked.Removed = len(old)
	return looked, nil
}

// expired collects the keys of old events, and says how far they go.
func expired(c *bbolt.Cursor, oldest string, p trail.Progress, most trail.Bounds) (trail.Progress, [][]byte) {
	var old [][]byte
	k, _ := c.Seek(behind(p.Last))
	for ; k != nil; k, _ = c.Seek(behind(p.Last)) {
		if p.Looked == most.Trails {
			return p, old
		}
		p.Looked++
		prefix := k[:bytes.LastIndexByte(k, 0)+1]
		for k, _ = c.Seek(append(bytes.Clone(prefix), oldest...)); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			if len(old) == most.Events {
				return p, old
			}
			old = append(old, bytes.Clone(k))
		}
		p.Last = string(prefix)
	}
	p.Done = true
	return p, old
}

// behind is a key that sorts behind all events of a trail and before the next trail. An ID is in
// ASCII.
func behind(prefix string) []byte {
	if prefix == "" {
		return nil
	}
	return []byte(prefix + "\xff")
}
