package intake

import (
	"net/mail"
	"slices"
	"strings"
)

const (
	// maxContacts is how many addresses a link has at most.
	maxContacts = 5
	// maxAddress is the longest e-mail address (RFC 5321 §4.5.3.1.3).
	maxAddress = 254
)

// contacts reads the e-mail addresses of the people to tell about a link.
func (r *Reader) contacts(raw []string) (addresses []string) {
	const fix = "Give up to 5 plain addresses such as it@clinic.example (API: [\"it@clinic.example\"])."
	for i, text := range raw {
		address := strings.TrimSpace(text)
		parsed, err := mail.ParseAddress(address)
		switch {
		case err != nil, parsed.Address != address, len(address) > maxAddress, !plainAddress(address):
			r.fail("contacts", "contact_syntax", fix, "Contact %d is not an e-mail address.", i+1)
		case !slices.Contains(addresses, address):
			addresses = append(addresses, address)
		}
	}
	if len(addresses) > maxContacts {
		r.fail("contacts", "too_many_contacts", fix, "There are %d contacts, more than the %d allowed.", len(addresses), maxContacts)
	}
	return addresses
}

// plainAddress reports whether an address is printable ASCII without quotes, at a host of two labels or more.
func plainAddress(s string) bool {
	_, host, _ := strings.Cut(s, "@")
	odd := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>()[],;:\`, r) })
	return !odd && strings.Contains(strings.Trim(host, "."), ".") && !strings.Contains(s, "..")
}
