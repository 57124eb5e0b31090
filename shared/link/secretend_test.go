package link_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/intake"
)

// directory knows when secrets end, or does not tell.
type directory struct {
	ends  map[string]string // by secret: KeyID and date
	keyID string            // as asked last
}

func (d *directory) SecretEnd(_ context.Context, c entra.Credentials, keyID string) (entra.SecretEnd, error) {
	d.keyID = keyID
	key, day, found := strings.Cut(d.ends[c.Credential.Text().Reveal()], " ")
	if !found {
		return entra.SecretEnd{}, errors.New("denied")
	}
	at, err := time.Parse(time.DateOnly, day)
	return entra.SecretEnd{KeyID: key, At: at.Add(10 * time.Hour)}, err
}

func (d *desk) with(ends *directory) *desk {
	deps := d.deps
	deps.Ends = ends
	d.Service = link.New(deps)
	return d
}

// TestDateOfTheDirectory: what Microsoft Graph says counts, at register, at a new secret and
// once a week; without it, what was typed.
func TestDateOfTheDirectory(t *testing.T) {
	known := &directory{ends: map[string]string{"the-secret": "k1 2027-05-01", "next-secret": "k2 2027-06-01"}}
	d := newDesk().with(known)
	state := func() link.Secret {
		t.Helper()
		l, err := d.Get(t.Context(), orgA, slug)
		if err != nil {
			t.Fatal(err)
		}
		return l.Secret
	}
	res, err := d.Register(t.Context(), orgA, registration("the-secret"))
	if err != nil || !strings.Contains(strings.Join(res.Notes, " "), "2027-05-01") {
		t.Errorf("%v, notes %q", err, res.Notes)
	}
	if s := state(); s.ExpiresOn.String() != "2027-05-01" || s.Source != ending.ByGraph || s.KeyID != "k1" {
		t.Errorf("registered: %+v", s)
	}
	if err := setSecret(d.Service, "next-secret"); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.ExpiresOn.String() != "2027-06-01" || s.Source != ending.ByGraph || s.KeyID != "k2" {
		t.Errorf("a new secret: %+v", s)
	}
	before, _ := d.Get(t.Context(), orgA, slug)
	known.ends["next-secret"] = "k2 2026-12-20"
	d.now = d.now.Add(8 * 24 * time.Hour)
	var told []link.Finding
	for _, f := range d.sweep(t) {
		if f.Notice {
			told = append(told, f)
		}
	}
	if s := state(); s.ExpiresOn.String() != "2026-12-20" || known.keyID != "k2" {
		t.Errorf("a week later: %+v, asked for %q", s, known.keyID)
	}
	if after, _ := d.Get(t.Context(), orgA, slug); after.ETag() == before.ETag() {
		t.Error("another date has the same tag")
	}
	if len(told) != 1 || *told[0].DaysLeft != 19 {
		t.Errorf("of the earlier end was told %+v", told)
	}
	held := d.vault.Entries()[0].Versions
	if got := held[len(held)-1].ExpiresOn.Format(time.DateOnly); got != "2026-12-20" {
		t.Errorf("the vault has %s", got)
	}

	known.ends = nil
	if err := setSecret(d.Service, "third-secret"); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.ExpiresOn.String() != "2027-10-01" || s.Source != ending.ByOwner || s.KeyID != "" {
		t.Errorf("without the directory: %+v", s)
	}
}

// TestDateFromTheDirectoryAlone: nothing is missing when it knows.
func TestDateFromTheDirectoryAlone(t *testing.T) {
	d := newDesk().with(&directory{ends: map[string]string{"the-secret": "k1 2027-05-01"}})
	r := registration("the-secret")
	r.SecretExpiresOn = ""
	res, err := d.Register(t.Context(), orgA, r)
	if err != nil || res.Report.Checks[0].Code != "ok" || len(res.Notes) > 0 || res.Link.Secret.Source != ending.ByGraph {
		t.Errorf("%v, %+v, notes %q", err, res.Link.Secret, res.Notes)
	}
	if err := patch(d.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-04-01")}}); err != nil {
		t.Fatal(err)
	}
	if l, _ := d.Get(t.Context(), orgA, slug); l.Secret.Source != ending.ByOwner {
		t.Errorf("a date that was typed over it: %+v", l.Secret)
	}
}
