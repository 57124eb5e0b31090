package link_test

import (
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
)

func TestContacts(t *testing.T) {
	d := newDesk()
	r := registration("the-secret")
	r.Contacts = []string{" it@clinic.example ", "boss+alerts@mail.clinic.example", "it@clinic.example"}
	res, err := d.Register(t.Context(), orgA, r)
	if want := []string{"it@clinic.example", "boss+alerts@mail.clinic.example"}; err != nil || !slices.Equal(res.Link.Contacts, want) {
		t.Fatalf("%q, %v", res.Link.Contacts, err)
	}
	before := res.Link.ETag()
	if err := patch(d.Service, intake.Patch{Contacts: intake.Nullable[[]string]{Present: true}}); err != nil {
		t.Fatal(err)
	}
	if l, _ := d.Get(t.Context(), orgA, slug); len(l.Contacts) > 0 || l.ETag() == before {
		t.Errorf("after clearing: %q, same tag %v", l.Contacts, l.ETag() == before)
	}
}

func TestContactsRefused(t *testing.T) {
	for _, c := range []struct {
		contacts []string
		code     string
	}{
		{[]string{""}, "contact_syntax"},
		{[]string{"it"}, "contact_syntax"},
		{[]string{"it@localhost"}, "contact_syntax"},
		{[]string{"it@clinic.example."}, "contact_syntax"},
		{[]string{"IT <it@clinic.example>"}, "contact_syntax"},
		{[]string{"a@clinic.example, b@clinic.example"}, "contact_syntax"},
		{[]string{"a@clinic.example\r\nBcc: x@evil.example"}, "contact_syntax"},
		{[]string{`"a b"@clinic.example`}, "contact_syntax"},
		{[]string{"ä@clinic.example"}, "contact_syntax"},
		{[]string{strings.Repeat("a", 250) + "@x.example"}, "contact_syntax"},
		{[]string{"a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example", "f@x.example"}, "too_many_contacts"},
	} {
		r := registration("the-secret")
		r.Contacts = c.contacts
		_, err := newDesk().Register(t.Context(), orgA, r)
		if p := wantCode(t, err, problem.InvalidFields); len(p.Fields) != 1 || p.Fields[0].Field != "contacts" || p.Fields[0].Code != c.code {
			t.Errorf("%q: %+v", c.contacts, p.Fields)
		}
	}
}

// FuzzContacts: an address that is taken holds nothing that could end a line or a list of a mail.
func FuzzContacts(f *testing.F) {
	for _, s := range []string{"it@clinic.example", "", "a@b", "a@b.c\r\nBcc: d@e.f", `"x"@y.z`, "a@b.c, d@e.f", "é@x.y", "a@@b.c", " a@b.c "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := registration("the-secret")
		r.Contacts = []string{s}
		res, err := newDesk().Register(t.Context(), orgA, r)
		if err != nil {
			return
		}
		if got := res.Link.Contacts; len(got) != 1 || got[0] != strings.TrimSpace(s) || strings.ContainsAny(got[0], " \t\r\n,;<>\"\\\x00") || strings.Count(got[0], "@") != 1 {
			t.Errorf("took %q as %q", s, got)
		}
	})
}
