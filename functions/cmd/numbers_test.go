package cmd_test

import (
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
)

// number is a promised number, as this run measured it.
type number struct {
	what, measured, bound string
	met                   bool
}

// numbers are the results of this run's benchmarks.
type numbers []number

var table numbers

// report adds a line to the table.
func (n *numbers) report(met bool, what, bound, format string, args ...any) {
	*n = append(*n, number{what, fmt.Sprintf(format, args...), bound, met})
}

func (n numbers) print() (allMet bool) {
	allMet = true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nNUMBER\tMEASURED\tBOUND\t")
	for _, one := range n {
		verdict := "met"
		if !one.met {
			verdict, allMet = "NOT MET", false
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.what, one.measured, one.bound, verdict)
	}
	_ = w.Flush() // fails when the terminal is gone
	return allMet
}

// TestMain prints the table when benchmarks ran (make bench), and fails when a number misses its
// bound.
func TestMain(m *testing.M) {
	status := m.Run()
	if len(table) > 0 && !table.print() {
		status = 1
	}
	os.Exit(status)
}
