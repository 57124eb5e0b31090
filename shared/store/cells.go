package store

import "context"

// Cells are small named values that all processes share. A process can change a cell only if the
// cell is still as that process has read it.
type Cells interface {
	// Cell returns the cell of the given name, or the zero Cell if there is none. Error:
	// ErrUnavailable.
	Cell(ctx context.Context, name string) (Cell, error)
	// Swap writes value if the cell still equals old, and reports whether it did. If swapped is
	// true, next is the new cell. Error: ErrUnavailable.
	Swap(ctx context.Context, name string, old Cell, value string) (next Cell, swapped bool, err error)
}

// Cell is a value as it was read. The zero Cell means that there is none.
type Cell struct {
	Value   string
	Version string // chosen by the driver
}
