package rowtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"fhirlink/shared/store"
)

// Rows implements [store.Rows] in memory.
type Rows struct {
	// Fault, unless nil, is called before and after each operation. An error that it returns
	// becomes the operation's error. Before means that nothing took place. After means that the
	// operation took place and its answer was lost. op is the method's name.
	Fault func(op string, k store.Key, before bool) error

	mu     sync.Mutex
	writes int64 // counts every write; the rows' versions come from it
	rows   map[store.Key]store.Row
}

var _ store.Rows = (*Rows)(nil)

// New returns a store without rows.
func New() *Rows { return &Rows{rows: map[store.Key]store.Row{}} }

// Len is how many rows there are.
func (s *Rows) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// All returns every row, in no order.
func (s *Rows) All() []store.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.rows))
}

// Row implements [store.Rows].
func (s *Rows) Row(ctx context.Context, k store.Key) (row store.Row, err error) {
	row.Key = k
	err = s.operate(ctx, "Row", k, func() {
		if found, ok := s.rows[k]; ok {
			row = found
		}
	})
	if err != nil {
		return store.Row{Key: k}, err
	}
	return row, nil
}

// Swap implements [store.Rows].
func (s *Rows) Swap(ctx context.Context, old store.Row, value string) (next store.Row, swapped bool, err error) {
	if err := old.Check(); err != nil {
		return store.Row{}, false, err
	}
	if len(value) > store.MaxValue {
		return store.Row{}, false, fmt.Errorf("a value of %d bytes is too large for a row", len(value))
	}
	err = s.operate(ctx, "Swap", old.Key, func() {
		if s.rows[old.Key].Version != old.Version {
			return
		}
		s.writes++
		next, swapped = store.Row{Key: old.Key, Value: value, Version: fmt.Sprint(s.writes)}, true
		s.rows[old.Key] = next
	})
	if err != nil {
		return store.Row{}, false, err
	}
	return next, swapped, nil
}

// Remove implements [store.Rows].
func (s *Rows) Remove(ctx context.Context, old store.Row) (gone bool, err error) {
	err = s.operate(ctx, "Remove", old.Key, func() {
		found, ok := s.rows[old.Key]
		if gone = !ok || found.Version == old.Version; gone {
			delete(s.rows, old.Key)
		}
	})
	return gone && err == nil, err
}

// Between implements [store.Rows].
func (s *Rows) Between(ctx context.Context, from, before string, limit int) (all []store.Row, err error) {
	err = s.operate(ctx, "Between", store.Key{Partition: from}, func() {
		for k, row := range s.rows {
			if k.Partition >= from && k.Partition < before {
				all = append(all, row)
			}
		}
		slices.SortFunc(all, func(a, b store.Row) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Name, b.Name))
		})
		all = all[:min(limit, len(all))]
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Discard implements [store.Rows]. Each of its requests is an operation for Fault.
func (s *Rows) Discard(ctx context.Context, keys []store.Key) error {
	for _, batch := range store.Batches(keys) {
		if err := s.operate(ctx, "Discard", batch[0], func() {
			for _, k := range batch {
				delete(s.rows, k)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// List implements [store.Rows].
func (s *Rows) List(ctx context.Context, partition, prefix, after string, limit int) (all []store.Row, err error) {
	err = s.operate(ctx, "List", store.Key{Partition: partition, Name: prefix}, func() {
		for k, row := range s.rows {
			if k.Partition == partition && strings.HasPrefix(k.Name, prefix) && k.Name > after {
				all = append(all, row)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b store.Row) int { return cmp.Compare(a.Name, b.Name) })
	return all[:min(limit, len(all))], nil
}

// operate calls do, alone, between the two calls of Fault, unless ctx has ended.
func (s *Rows) operate(ctx context.Context, op string, k store.Key, do func()) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
	}
	if err := s.fault(op, k, true); err != nil {
		return err
	}
	s.mu.Lock()
	do()
	s.mu.Unlock()
	return s.fault(op, k, false)
}

func (s *Rows) fault(op string, k store.Key, before bool) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, k, before)
}
