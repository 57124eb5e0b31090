package link_test

import (
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// TestAbandonedRowFromBefore: a reserved row without a secret's name is what an abandoned
// registration left before there was a phase of its own.
func TestAbandonedRowFromBefore(t *testing.T) {
	old := link.Link{Slug: slug, ID: "id", Organization: orgA, Phase: link.Reserved, Discard: []string{"link-a"}, Enrolled: true, PhaseSince: time.Now()}
	if got := old.Stored().Phase; got != link.Abandoned {
		t.Errorf("it is read as %q", got)
	}
	old.Secret.Name = "link-b"
	if got := old.Stored().Phase; got != link.Reserved {
		t.Errorf("a reservation is read as %q", got)
	}

	st := newDesk()
	old.Secret.Name = ""
	if err := st.links.Insert(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.Events(t.Context(), orgA, slug, 10, ""); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("its trail: %v", err)
	}
	if err := register(st.Service, "the-secret"); err != nil {
		t.Errorf("its organization registers the slug at once: %v", err)
	}
	if l, err := st.links.Get(t.Context(), slug); err != nil || len(l.Discard) != 1 || l.Discard[0] != "link-a" {
		t.Errorf("what is to be removed was forgotten: %+v, %v", l, err)
	}
}

// TestAbandonDuringDelete: a registration whose last answer got lost does not take the row from a
// deletion that has begun meanwhile. The slug stays reserved.
func TestAbandonDuringDelete(t *testing.T) {
	d := newDesk()
	vaultDown := func(op, _ string, _ bool) error {
		if op == "Delete" {
			return secret.ErrUnavailable
		}
		return nil
	}
	d.links.Fault = func(op string, slug link.Slug, before bool) error {
		if op != "Update" || before {
			return nil
		}
		d.links.Fault = nil
		l, err := d.links.Get(t.Context(), slug)
		if err != nil || l.Phase != link.Live {
			t.Fatalf("%+v, %v", l, err)
		}
		d.vault.Fault = vaultDown
		if err := d.Delete(t.Context(), orgA, string(slug), "*"); err != nil && problem.CodeOf(err) != problem.UpstreamUnavailable {
			t.Fatal(err)
		}
		d.vault.Fault = nil
		return store.ErrUnavailable
	}
	wantCode(t, register(d.Service, "the-secret"), problem.UpstreamUnavailable)
	l, err := d.links.Get(t.Context(), slug)
	if err != nil || l.Phase != link.Deleting {
		t.Fatalf("the deletion was overridden: %q, %v", l.Phase, err)
	}
	d.now = d.now.Add(time.Hour)
	d.sweep(t)
	if l, err := d.links.Get(t.Context(), slug); err != nil || l.Phase != link.Tombstone {
		t.Errorf("in the end it is %q, %v", l.Phase, err)
	}
}

// TestUnfinishedRowIsDue: what a killed process left is due for the timer, whatever else the row
// says.
func TestUnfinishedRowIsDue(t *testing.T) {
	since := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, phase := range []link.Phase{link.Reserved, link.Abandoned, link.Deleting} {
		l := link.Link{Slug: slug, Phase: phase, PhaseSince: since}
		if due := l.Due(); !due.Equal(since.Add(link.Grace)) {
			t.Errorf("%s: due %v", phase, due)
		}
	}
}

// TestWithdrawDuringDelete: a sweep that saw a tombstone does not take the entry of the link that has
// been registered meanwhile, not even when that one is being deleted: what is left of it must be
// found until its secret is gone.
func TestWithdrawDuringDelete(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.links.Fault = func(op string, _ link.Slug, _ bool) error {
		if op == "Withdraw" {
			return store.ErrUnavailable
		}
		return nil
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	vaultDown := func(op, _ string, _ bool) error {
		if op == "Delete" {
			return secret.ErrUnavailable
		}
		return nil
	}
	d.links.Fault = func(op string, _ link.Slug, before bool) error {
		if op != "Receipt" || !before {
			return nil
		}
		d.links.Fault = nil
		d.register(t, orgA, slug)
		d.vault.Fault = vaultDown
		if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
			t.Fatal(err)
		}
		return nil
	}
	d.now = d.now.Add(2 * link.Grace)
	d.sweep(t)
	l, err := d.links.Get(t.Context(), slug)
	if err != nil || l.Phase != link.Deleting {
		t.Fatalf("%q, %v", l.Phase, err)
	}
	if receipt, err := d.links.Receipt(t.Context(), orgA, slug); err != nil || receipt == "" {
		t.Errorf("the entry was withdrawn: %v", err)
	}
	d.vault.Fault = nil
	d.now = d.now.Add(time.Hour)
	d.sweep(t)
	if receipt, err := d.links.Receipt(t.Context(), orgA, slug); err != nil || receipt != "" {
		t.Errorf("the entry outlives the link: %v", err)
	}
}
