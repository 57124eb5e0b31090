package link_test

import (
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// onlyNamed asserts that the vault has no enabled version of the link's secret that the row
// does not name.
func (d *desk) onlyNamed(t *testing.T, name string) {
	t.Helper()
	l, err := d.Get(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range d.vault.Enabled(l.Secret.Name) {
		if version != l.Secret.Version && version != l.Secret.Previous {
			t.Errorf("%s: version %s is enabled, and no row names it", name, version)
		}
	}
	if l.Change != nil {
		t.Errorf("%s: the change never ends: %+v", name, l.Change)
	}
}

// TestRepeatedAfterLostAnswer: a secret whose storing was not heard of is disabled in the end,
// whatever the organization does next, before the timer has looked.
func TestRepeatedAfterLostAnswer(t *testing.T) {
	for name, next := range map[string]func(*link.Service) error{
		"the same again": func(s *link.Service) error { return setSecret(s, "second-secret") },
		"another date": func(s *link.Service) error {
			return patch(s, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-03")}})
		},
		"another application": func(s *link.Service) error {
			return patch(s, intake.Patch{ClientID: ptr(otherClient), ClientSecret: secret.New("third-secret")})
		},
	} {
		d := newDesk()
		d.register(t, orgA, slug)
		d.vault.Fault = func(op, _ string, before bool) error {
			if op == "Put" && !before {
				return secret.ErrUnavailable
			}
			return nil
		}
		wantCode(t, setSecret(d.Service, "second-secret"), problem.UpstreamUnavailable)
		d.vault.Fault = nil
		if err := next(d.Service); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 3 {
			d.now = d.now.Add(link.Grace + time.Minute)
			d.sweep(t)
		}
		d.onlyNamed(t, name)
	}
}

// TestDateDoesNotRevive: writing a date never enables a version that somebody disabled.
func TestDateDoesNotRevive(t *testing.T) {
	d := newDesk()
	l := d.register(t, orgA, slug)
	if err := d.vault.Update(t.Context(), l.Secret.Name, l.Secret.Version, false, secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	if err := patch(d.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-03")}}); err != nil {
		t.Fatal(err)
	}
	if enabled := d.vault.Enabled(l.Secret.Name); len(enabled) > 0 {
		t.Errorf("enabled again: %v", enabled)
	}
}

// TestListPanics: a row that makes the driver panic fails the listing, not the process.
func TestListPanics(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.links.Fault = func(op string, _ link.Slug, _ bool) error {
		if op == "Get" {
			panic("an unreadable row")
		}
		return nil
	}
	if _, _, err := d.List(t.Context(), orgA, link.Filter{}, 10, ""); err == nil {
		t.Error("listed all the same")
	}
}
