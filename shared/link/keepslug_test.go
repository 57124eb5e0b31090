package link_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

// TestKeepSlug: a slug that others trust is never handed to another organization, whatever becomes of
// the link.
func TestKeepSlug(t *testing.T) {
	d := newDesk()
	registerFor := func(organization string) error {
		r := registration("the-secret")
		r.SecretExpiresOn = ""
		_, err := d.Register(t.Context(), organization, r)
		return err
	}
	if err := registerFor(orgA); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.KeepSlug(t.Context(), orgB, slug), problem.LinkNotFound)
	wantCode(t, d.KeepSlug(t.Context(), orgA, "none"), problem.LinkNotFound)
	before, err := d.links.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.KeepSlug(t.Context(), orgA, slug); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := d.links.Get(t.Context(), slug); err != nil || !l.ReservedUntil.Equal(link.Forever) || l.ETag() != before.ETag() {
		t.Fatalf("%+v, %v", l, err)
	}
	for range 2 { // also the second link of the slug, which itself asked for nothing
		if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			d.now = d.now.Add(400 * 24 * time.Hour)
			d.sweep(t)
		}
		l, err := d.links.Get(t.Context(), slug)
		if err != nil || l.Phase != link.Tombstone || l.Organization != orgA || !l.Due().IsZero() {
			t.Fatalf("after years: %+v, due %v, %v", l, l.Due(), err)
		}
		wantCode(t, registerFor(orgB), problem.SlugTaken)
		if err := registerFor(orgA); err != nil {
			t.Fatal(err)
		}
	}
}

// appsOf removes the apps of links as a test says.
type appsOf struct {
	link.Apps
	removed func(link.Link) error
}

// Free implements [link.Apps].
func (appsOf) Free(context.Context, string, string) error { return nil }

func (a appsOf) Removed(_ context.Context, l link.Link) error { return a.removed(l) }

// TestRemoved: what others keep of a link is removed before its tombstone, by the timer if it fails at first.
func TestRemoved(t *testing.T) {
	var (
		fail    = true
		removed []string
	)
	d := newDesk()
	d.KeepsApps(appsOf{removed: func(l link.Link) error {
		if fail {
			return store.ErrUnavailable
		}
		removed = append(removed, l.ID)
		return nil
	}})
	r := registration("the-secret")
	r.SecretExpiresOn = ""
	if _, err := d.Register(t.Context(), orgA, r); err != nil {
		t.Fatal(err)
	}
	before, err := d.links.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	if l, err := d.links.Get(t.Context(), slug); err != nil || l.Phase != link.Deleting {
		t.Fatalf("%+v, %v", l, err)
	}
	fail = false
	d.now = d.now.Add(2 * link.Grace)
	d.sweep(t)
	if l, err := d.links.Get(t.Context(), slug); err != nil || l.Phase != link.Tombstone || !slices.Equal(removed, []string{before.ID}) {
		t.Errorf("%+v, %q, %v", l, removed, err)
	}
}
