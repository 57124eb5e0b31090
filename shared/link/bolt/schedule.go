package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
)

// timeBytes is the length of the time that begins a key of the index.
const timeBytes = 8

// Due is link.Schedule's: in order of time. All that is due is read before the first yield,
// as a write must not wait for the reading transaction of its own goroutine. An entry that
// cannot be read does not keep others from yield; Due then fails at its end.
func (s *Store) Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error {
	var due []link.Slug
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		due, err = dueBy(tx, now)
		return err
	})
	for _, slug := range due {
		if !yield(slug) {
			return nil
		}
	}
	return err
}

func dueBy(tx *bbolt.Tx, now time.Time) (due []link.Slug, err error) {
	end := string(sortable(now))
	c := tx.Bucket(dueBucket).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) <= timeBytes {
			err = fmt.Errorf("the index of due links has the key %x, which names no slug; restore the links' file, or remove that key", k)
			continue
		}
		if string(k[:timeBytes]) > end {
			break
		}
		due = append(due, link.Slug(k[timeBytes:]))
	}
	return due, err
}

// schedule puts the entry of a row where r.Due says; unschedule removes it from there.
func schedule(tx *bbolt.Tx, r row) error {
	if r.Due.IsZero() {
		return nil
	}
	return tx.Bucket(dueBucket).Put(dueKey(r), nil)
}

func unschedule(tx *bbolt.Tx, r row) error {
	if r.Due.IsZero() {
		return nil
	}
	return tx.Bucket(dueBucket).Delete(dueKey(r))
}

func dueKey(r row) []byte { return append(sortable(r.Due), r.Link.Slug...) }

// sortable writes a time so that bytes sort as times do, whatever its sign.
func sortable(t time.Time) []byte {
	const signBit = 1 << 63
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro())^signBit)
}
