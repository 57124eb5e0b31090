package bolt

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"fhirlink/shared/store"
)

// rowsBucket maps partition NUL name → value and version as JSON.
var rowsBucket = []byte("rows")

// rows are the rows of a store.
type rows struct{ *Store }

// KeyedRows returns the rows in the file.
func (s *Store) KeyedRows() store.Rows { return rows{s} }

func rowKey(k store.Key) []byte { return []byte(k.Partition + "\x00" + k.Name) }

// Row implements [store.Rows].
func (s rows) Row(ctx context.Context, k store.Key) (row store.Row, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		row, err = loadRow(k, tx.Bucket(rowsBucket).Get(rowKey(k)))
		return err
	})
	return row, err
}

// Swap implements [store.Rows].
func (s rows) Swap(ctx context.Context, old store.Row, value string) (next store.Row, swapped bool, err error) {
	if err := old.Check(); err != nil {
		return store.Row{}, false, err
	}
	if len(value) > store.MaxValue {
		return store.Row{}, false, fmt.Errorf("a value of %d bytes is too large for a row", len(value))
	}
	next = store.Row{Key: old.Key, Value: value, Version: rand.Text()}
	data, err := json.Marshal(cell{next.Version, value})
	if err != nil {
		return store.Row{}, false, fmt.Errorf("row %q cannot be written: %w", old.Name, err)
	}
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		found, err := loadRow(old.Key, tx.Bucket(rowsBucket).Get(rowKey(old.Key)))
		if err != nil || found.Version != old.Version {
			return err
		}
		swapped = true
		return tx.Bucket(rowsBucket).Put(rowKey(old.Key), data)
	})
	if err != nil || !swapped {
		return store.Row{}, false, err
	}
	return next, true, nil
}

// Remove implements [store.Rows].
func (s rows) Remove(ctx context.Context, old store.Row) (gone bool, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		found, err := loadRow(old.Key, tx.Bucket(rowsBucket).Get(rowKey(old.Key)))
		if err != nil || found.Version != "" && found.Version != old.Version {
			return err
		}
		gone = true
		return tx.Bucket(rowsBucket).Delete(rowKey(old.Key))
	})
	return gone && err == nil, err
}

// List implements [store.Rows].
func (s rows) List(ctx context.Context, partition, prefix, after string, limit int) (all []store.Row, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		within := string(rowKey(store.Key{Partition: partition, Name: prefix}))
		at := tx.Bucket(rowsBucket).Cursor()
		for k, data := at.Seek([]byte(max(within, string(rowKey(store.Key{Partition: partition, Name: after}))))); strings.HasPrefix(string(k), within) && len(all) < limit; k, data = at.Next() {
			_, name, _ := strings.Cut(string(k), "\x00")
			if name == after {
				continue
			}
			row, err := loadRow(store.Key{Partition: partition, Name: name}, data)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	})
	return all, err
}

// Between implements [store.Rows].
func (s rows) Between(ctx context.Context, from, before string, limit int) (all []store.Row, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		at := tx.Bucket(rowsBucket).Cursor()
		for k, data := at.Seek([]byte(from)); k != nil && len(all) < limit; k, data = at.Next() {
			partition, name, _ := strings.Cut(string(k), "\x00")
			if partition >= before {
				break
			}
			row, err := loadRow(store.Key{Partition: partition, Name: name}, data)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	})
	return all, err
}

// Discard implements [store.Rows].
func (s rows) Discard(ctx context.Context, keys []store.Key) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, k := range keys {
			if err := tx.Bucket(rowsBucket).Delete(rowKey(k)); err != nil {
				return err
			}
		}
		return nil
	})
}

func loadRow(k store.Key, data []byte) (store.Row, error) {
	row := store.Row{Key: k}
	if data == nil {
		return row, nil
	}
	var c cell
	if err := json.Unmarshal(data, &c); err != nil || c.OpID == "" {
		return row, fmt.Errorf("the row %q in %q of the links' file cannot be read; restore the file, or remove that row", k.Name, k.Partition)
	}
	row.Value, row.Version = c.Value, c.OpID
	return row, nil
}
