package store

import (
	"context"
	"fmt"
	"strings"
)

// Rows are values that are found by a partition and a name. What the values are is their owner's
// business; a process can change a row only if it is still as that process has read it. The rows of one
// partition lie together: they can be listed, in the order of their names.
type Rows interface {
	// Row returns the row with a key. If there is none, its Version is empty. Error: ErrUnavailable.
	Row(ctx context.Context, k Key) (Row, error)
	// Swap writes value if the row still has old.Version, and reports whether it did. An empty version
	// inserts. If swapped is true, next is the new row. Error: ErrUnavailable.
	Swap(ctx context.Context, old Row, value string) (next Row, swapped bool, err error)
	// Remove removes the row if it still has old.Version, and reports whether it is gone: a row that
	// was not there is gone, too. Error: ErrUnavailable.
	Remove(ctx context.Context, old Row) (gone bool, err error)
	// List returns up to limit rows of a partition whose names begin with prefix and are greater than
	// after, in the order of their names. Error: ErrUnavailable.
	List(ctx context.Context, partition, prefix, after string, limit int) ([]Row, error)
	// Between returns up to limit rows of the partitions from one on and before another, in the order of
	// the partitions and names. Error: ErrUnavailable.
	Between(ctx context.Context, from, before string, limit int) ([]Row, error)
	// Discard removes the rows with these keys, whatever they are now. A request takes a hundred of one
	// partition. A row that is not there is gone. Error: ErrUnavailable; then some may be gone.
	Discard(ctx context.Context, keys []Key) error
}

// DiscardAtOnce is how many rows of one partition a request to discard takes.
const DiscardAtOnce = 100

// Batches cuts keys, which are in the order of their partitions, into what one request to discard takes.
func Batches(keys []Key) (batches [][]Key) {
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && n < DiscardAtOnce && keys[n].Partition == keys[0].Partition {
			n++
		}
		batches, keys = append(batches, keys[:n]), keys[n:]
	}
	return batches
}

// Key is where a row is: 1 to 200 characters each, of letters, digits and . _ ~ -.
type Key struct{ Partition, Name string }

// Row is a value as it was read, of at most MaxValue bytes of UTF-8.
type Row struct {
	Key
	Value   string
	Version string // chosen by the driver; empty: there is no such row
}

// MaxValue is the size of the largest value of a row, in bytes.
const MaxValue = 256 << 10

const (
	maxKeyPart    = 200
	keyCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
)

// Check returns an error if there can be no row with this key. Keys come from code and from what was
// checked before, so it is a mistake of ours.
func (k Key) Check() error {
	for _, part := range []string{k.Partition, k.Name} {
		if part == "" || len(part) > maxKeyPart || strings.Trim(part, keyCharacters) != "" {
			return fmt.Errorf("%.80q in %.80q cannot be the key of a row", k.Name, k.Partition)
		}
	}
	return nil
}
