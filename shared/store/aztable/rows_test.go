package aztable

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/store"
)

var settingsKey = store.Key{Partition: "a-clinic", Name: "S"}

// write swaps the row as it is now, and fails unless it is written.
func write(t *testing.T, s store.Rows, value string) error {
	t.Helper()
	row, err := s.Row(t.Context(), settingsKey)
	if err != nil {
		return err
	}
	next, swapped, err := s.Swap(t.Context(), row, value)
	if err == nil && (!swapped || next.Value != value || next.Version == "") {
		err = fmt.Errorf("Swap = %+v, %v", next, swapped)
	}
	return err
}

// TestRowsOverABadNetwork loses each request of each operation in turn, before the service receives it
// and afterwards. Every operation must still return the true result.
func TestRowsOverABadNetwork(t *testing.T) {
	operations := map[string]struct {
		prepare, run func(t *testing.T, s store.Rows) error
		want         string // the value afterwards, or "none"
		requests     int
	}{
		"insert into no table": {
			func(*testing.T, store.Rows) error { return nil },
			func(t *testing.T, s store.Rows) error { return write(t, s, "one") }, "one", 4,
		},
		"change": {
			func(t *testing.T, s store.Rows) error { return write(t, s, "one") },
			func(t *testing.T, s store.Rows) error { return write(t, s, "two") }, "two", 2,
		},
		"a change of what others have changed": {
			func(t *testing.T, s store.Rows) error { return write(t, s, "one") },
			func(t *testing.T, s store.Rows) error {
				if _, swapped, err := s.Swap(t.Context(), store.Row{Key: settingsKey}, "two"); err != nil || swapped {
					return fmt.Errorf("Swap = %v, %w", swapped, err)
				}
				return nil
			}, "one", 2,
		},
		"remove": {
			func(t *testing.T, s store.Rows) error { return write(t, s, "one") },
			func(t *testing.T, s store.Rows) error {
				row, err := s.Row(t.Context(), settingsKey)
				if err != nil {
					return err
				}
				if gone, err := s.Remove(t.Context(), row); err != nil || !gone {
					return fmt.Errorf("Remove = %v, %w", gone, err)
				}
				return nil
			}, "none", 2,
		},
		"list": {
			func(t *testing.T, s store.Rows) error { return write(t, s, "one") },
			func(t *testing.T, s store.Rows) error {
				all, err := s.List(t.Context(), settingsKey.Partition, "", "", 10)
				if err == nil && len(all) != 1 {
					err = fmt.Errorf("%d rows", len(all))
				}
				return err
			}, "one", 1,
		},
	}
	for name, op := range operations {
		for _, f := range []fault{unsent, unheard} {
			for lost := range op.requests {
				t.Run(fmt.Sprintf("%s, fault %d of request %d", name, f, lost), func(t *testing.T) {
					tb := newTable(t)
					s := tb.store(http.DefaultTransport).KeyedRows()
					must(t, op.prepare(t, s))
					w := &wire{fault: func(n int, _ *http.Request) fault {
						if n == lost {
							return f
						}
						return none
					}}
					must(t, op.run(t, tb.store(w).KeyedRows()))
					row, err := s.Row(t.Context(), settingsKey)
					must(t, err)
					got := "none"
					if row.Version != "" {
						got = row.Value
					}
					if got != op.want {
						t.Errorf("%s, want %s", got, op.want)
					}
				})
			}
		}
	}
}

func TestRowsWhenNothingAnswers(t *testing.T) {
	w := &wire{fault: func(int, *http.Request) fault { return unsent }}
	s := newTable(t).store(w).KeyedRows()
	row := store.Row{Key: settingsKey, Version: `W/"x"`}
	_, read := s.Row(t.Context(), settingsKey)
	_, _, swapped := s.Swap(t.Context(), row, "x")
	_, removed := s.Remove(t.Context(), row)
	_, listed := s.List(t.Context(), settingsKey.Partition, "", "", 10)
	for i, err := range []error{read, swapped, removed, listed} {
		if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret-host") {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}

func TestRowThatCannotBeRead(t *testing.T) {
	s := newTable(t).store(http.DefaultTransport)
	must(t, s.Ensure(t.Context()))
	_, err := s.client.UpsertEntity(t.Context(), []byte(`{"PartitionKey":"a-clinic","RowKey":"S","Value0":"x"}`), &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace})
	must(t, err)
	_, read := s.KeyedRows().Row(t.Context(), settingsKey)
	_, listed := s.KeyedRows().List(t.Context(), settingsKey.Partition, "", "", 10)
	for _, err := range []error{read, listed} {
		if err == nil || !strings.Contains(err.Error(), "row \"S\"") || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
}
