package linktest

import (
	"context"

	"fhirlink/shared/store"
)

// Cell implements [store.Cells].
func (s *Stores) Cell(ctx context.Context, name string) (c store.Cell, err error) {
	err = s.operate(ctx, "Cell", "", func() error {
		c, err = s.cells.Cell(ctx, name)
		return err
	})
	if err != nil {
		return store.Cell{}, err
	}
	return c, nil
}

// Swap implements [store.Cells].
func (s *Stores) Swap(ctx context.Context, name string, old store.Cell, value string) (next store.Cell, swapped bool, err error) {
	err = s.operate(ctx, "Swap", "", func() error {
		next, swapped, err = s.cells.Swap(ctx, name, old, value)
		return err
	})
	if err != nil {
		return store.Cell{}, false, err
	}
	return next, swapped, nil
}
