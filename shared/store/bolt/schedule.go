package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
)

// dueBucket maps due time and slug → nothing.
var dueBucket = []byte("links.due")

// timeBytes is the length of the time at the start of a key of the index.
const timeBytes = 8

// duePage is how many entries of the index are read in one transaction.
const duePage = 1000

// Due implements [link.Schedule], in order of time. It reads page by page. No transaction is open
// while yield runs, because a write must not wait for a read transaction of its own goroutine. If
// an entry cannot be read, Due continues with the others and returns the error at its end.
func (s *Store) Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error {
	var odd error
	for after := []byte(nil); ; {
		var page []link.Slug
		var more bool
		err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
			page, after, more, err = dueBy(tx, now, after)
			if err != nil {
				odd = err
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, slug := range page {
			if !yield(slug) {
				return nil
			}
		}
		if !more {
			return odd
		}
	}
}

// dueBy reads the page of due links after the given key. If yield moves an entry to a later time
// that is also due, the entry is read twice.
func dueBy(tx *bbolt.Tx, now time.Time, after []byte) (due []link.Slug, last []byte, more bool, err error) {
	end := string(sortable(now))
	c := tx.Bucket(dueBucket).Cursor()
	k, _ := c.Seek(after)
	if k != nil && bytes.Equal(k, after) {
		k, _ = c.Next()
	}
	for ; k != nil; k, _ = c.Next() {
		if len(k) > timeBytes && string(k[:timeBytes]) > end {
			break
		}
		if len(due) == duePage {
			return due, last, true, err
		}
		last = bytes.Clone(k)
		if len(k) <= timeBytes {
			err = fmt.Errorf("the index of due links has the key %x, which names no slug; restore the links' file, or remove that key", k)
			continue
		}
		due = append(due, link.Slug(k[timeBytes:]))
	}
	return due, last, false, err
}

// schedule adds the entry of a row at r.Due; unschedule removes it.
func schedule(tx *bbolt.Tx, r linkRow) error {
	if r.Due.IsZero() {
		return nil
	}
	return tx.Bucket(dueBucket).Put(dueKey(r), nil)
}

func unschedule(tx *bbolt.Tx, r linkRow) error {
	if r.Due.IsZero() {
		return nil
	}
	return tx.Bucket(dueBucket).Delete(dueKey(r))
}

func dueKey(r linkRow) []byte { return append(sortable(r.Due), r.Link.Slug...) }

// sortable encodes a time so that the bytes sort in the order of time, even before 1970.
func sortable(t time.Time) []byte {
	const signBit = 1 << 63
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro())^signBit)
}
