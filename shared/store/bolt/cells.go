package bolt

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/store"
)

// cellsBucket maps name → cell as JSON.
var cellsBucket = []byte("links.cells")

// cell is the value in the bucket of cells.
type cell struct {
	OpID  string // random id of the last write
	Value string
}

// Cell implements [store.Cells].
func (s *Store) Cell(ctx context.Context, name string) (found store.Cell, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		found, err = loadCell(tx, name)
		return err
	})
	return found, err
}

// Swap implements [store.Cells].
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
