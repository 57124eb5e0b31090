package secrettest_test

import (
	"errors"
	"slices"
	"testing"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
)

func TestStore(t *testing.T) {
	secrettest.Run(t, func(*testing.T) secret.Store { return secrettest.New() })
}

// Fault is called on both sides of an operation: before it nothing has happened, after it the
// change is made.
func TestFault(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		before bool
		stored int
	}{{true, 0}, {false, 1}} {
		s := secrettest.New()
		s.Fault = func(op, name string, before bool) error {
			if op == "Put" && name == "link-a" && before == c.before {
				return broken
			}
			return nil
		}
		if _, err := s.Put(t.Context(), "link-a", secret.New("x"), secret.Attributes{}); !errors.Is(err, broken) {
			t.Errorf("before=%v: Put = %v, want the hook's error", c.before, err)
		}
		if got := s.Enabled("link-a"); len(got) != c.stored {
			t.Errorf("before=%v: enabled versions %v, want %d", c.before, got, c.stored)
		}
	}
}

func TestEntries(t *testing.T) {
	s := secrettest.New()
	v, err := s.Put(t.Context(), "b", secret.New("x"), secret.Attributes{Slug: "slug"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", secret.New("y"), secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	all := s.Entries()
	if len(all) != 2 || !all[0].Deleted || all[1].Versions[0].ID != v || all[1].Versions[0].Slug != "slug" {
		t.Errorf("Entries = %+v", all)
	}
	if got := s.Names(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("Names = %v", got)
	}
}
