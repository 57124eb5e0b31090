package linktest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/store"
)

func TestStores(t *testing.T) {
	linktest.Run(t, func(*testing.T) link.Stores { return linktest.New() })
}

var errFault = errors.New("fault")

func TestFault(t *testing.T) {
	change := func(l link.Link) (link.Link, error) { l.Revision++; return l, nil }
	for _, c := range []struct {
		op   string
		slug link.Slug
		call func(t *testing.T, s *linktest.Stores) error
		// done reports whether the operation took place
		done func(t *testing.T, s *linktest.Stores) bool
	}{
		{"Get", "old", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Get(t.Context(), "old")
			return err
		}, nil},
		{"Insert", "new", func(t *testing.T, s *linktest.Stores) error {
			return s.Insert(t.Context(), link.Link{Slug: "new"})
		}, func(t *testing.T, s *linktest.Stores) bool {
			_, err := s.Get(t.Context(), "new")
			return err == nil
		}},
		{"Update", "old", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Update(t.Context(), "old", change)
			return err
		}, func(t *testing.T, s *linktest.Stores) bool {
			l, err := s.Get(t.Context(), "old")
			return err == nil && l.Revision == 1
		}},
		{"Remove", "old", func(t *testing.T, s *linktest.Stores) error {
			gone, err := s.Remove(t.Context(), "old", func(link.Link) bool { return true })
			if gone && err != nil {
				t.Error("Remove says gone and fails")
			}
			return err
		}, func(t *testing.T, s *linktest.Stores) bool {
			_, err := s.Get(t.Context(), "old")
			return errors.Is(err, store.ErrNotFound)
		}},
		{"Due", "", func(t *testing.T, s *linktest.Stores) error {
			return s.Due(t.Context(), time.Now(), func(link.Slug) bool { return true })
		}, nil},
		{"Enroll", "new", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Enroll(t.Context(), "org", "new")
			return err
		}, func(t *testing.T, s *linktest.Stores) bool { return enrolled(t, s, "new") }},
		{"Receipt", "old", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Receipt(t.Context(), "org", "old")
			return err
		}, nil},
		{"Withdraw", "old", func(t *testing.T, s *linktest.Stores) error {
			return s.Withdraw(t.Context(), "org", "old", "receipt-2")
		}, func(t *testing.T, s *linktest.Stores) bool { return !enrolled(t, s, "old") }},
		{"Slugs", "", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Slugs(t.Context(), "org", "", 1)
			return err
		}, nil},
		{"Cell", "", func(t *testing.T, s *linktest.Stores) error {
			_, err := s.Cell(t.Context(), "cell")
			return err
		}, nil},
		{"Swap", "", func(t *testing.T, s *linktest.Stores) error {
			_, swapped, err := s.Swap(t.Context(), "cell", store.Cell{}, "new")
			if swapped && err != nil {
				t.Error("Swap says swapped and fails")
			}
			return err
		}, func(t *testing.T, s *linktest.Stores) bool {
			c, err := s.Cell(t.Context(), "cell")
			return err == nil && c.Value == "new"
		}},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprint(c.op, " before ", before), func(t *testing.T) {
				s := filled(t)
				calls := 0
				s.Fault = func(op string, slug link.Slug, b bool) error {
					calls++
					if op != c.op || slug != c.slug {
						t.Errorf("Fault(%q, %q), want %q, %q", op, slug, c.op, c.slug)
					}
					if b == before {
						return errFault
					}
					return nil
				}
				if err := c.call(t, s); err != errFault { // it must be the very error
					t.Errorf("%s = %v, want the fault", c.op, err)
				}
				if want := map[bool]int{true: 1, false: 2}[before]; calls != want {
					t.Errorf("Fault was called %d times, want %d", calls, want)
				}
				s.Fault = nil
				if c.done != nil && c.done(t, s) == before {
					t.Errorf("took place: %v", !before)
				}
			})
		}
	}
}

// filled has a row "old" and an entry for it with receipt "receipt-2".
func filled(t *testing.T) *linktest.Stores {
	t.Helper()
	s := linktest.New()
	if err := s.Insert(t.Context(), link.Link{Slug: "old"}); err != nil {
		t.Fatal(err)
	}
	if receipt, err := s.Enroll(t.Context(), "org", "old"); err != nil || receipt != "receipt-2" {
		t.Fatal(receipt, err)
	}
	return s
}

func enrolled(t *testing.T, s *linktest.Stores, slug link.Slug) bool {
	t.Helper()
	slugs, err := s.Slugs(t.Context(), "org", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(slugs, slug)
}
