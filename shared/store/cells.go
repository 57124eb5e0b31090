package store

import "context"

// Cells are small named values that all processes share. A process changes a cell only if the
// cell is still as that process has read it.
type Cells interface {
	// Cell returns the cell of that name; the zero Cell when there is none. ErrUnavailable.
	Cell(ctx context.Context, name string) (Cell, error)
	// Swap writes value if the cell is still old, and reports whether it did; next is the
	// cell then. ErrUnavailable.
	Swap(ctx context.Context, name string, old Cell, value string) (next Cell, swapped bool, err error)
}

// Cell is a value as it was read. The zero Cell stands for none.
type Cell struct {
	Value   string
	Version string // the driver's own
}
