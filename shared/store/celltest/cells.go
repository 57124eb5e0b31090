package celltest

import (
	"context"
	"fmt"
	"sync"

	"fhirlink/shared/store"
)

// Cells implements [store.Cells] in memory.
type Cells struct {
	// Fault, unless nil, is called before and after each operation. An error that it returns
	// becomes the operation's error. Before means that nothing took place. After means that the
	// operation took place and its answer was lost. op is the method's name.
	Fault func(op string, before bool) error

	mu     sync.Mutex
	writes int64 // counts every write; the cells' versions come from it
	cells  map[string]store.Cell
}

var _ store.Cells = (*Cells)(nil)

// New returns a store without cells.
func New() *Cells { return &Cells{cells: map[string]store.Cell{}} }

// Cell implements [store.Cells].
func (s *Cells) Cell(ctx context.Context, name string) (c store.Cell, err error) {
	err = s.operate(ctx, "Cell", func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c = s.cells[name]
	})
	if err != nil {
		return store.Cell{}, err
	}
	return c, nil
}

// Swap implements [store.Cells].
func (s *Cells) Swap(ctx context.Context, name string, old store.Cell, value string) (next store.Cell, swapped bool, err error) {
	err = s.operate(ctx, "Swap", func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cells[name].Version != old.Version {
			return
		}
		s.writes++
		next, swapped = store.Cell{Value: value, Version: fmt.Sprint(s.writes)}, true
		s.cells[name] = next
	})
	if err != nil {
		return store.Cell{}, false, err
	}
	return next, swapped, nil
}

// operate calls do between the two calls of Fault, unless ctx has ended.
func (s *Cells) operate(ctx context.Context, op string, do func()) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
	}
	if err := s.fault(op, true); err != nil {
		return err
	}
	do()
	return s.fault(op, false)
}

func (s *Cells) fault(op string, before bool) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, before)
}
