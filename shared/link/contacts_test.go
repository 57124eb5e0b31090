package link_test

import (
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/link"
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
	if err := patch(d.Service, link.Patch{Contacts: &[]string{}}); err != nil {
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
