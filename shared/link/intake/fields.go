package intake

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/fhir"
)

// Server reads the URL of a FHIR server.
func (r *Reader) Server(raw string) fhir.BaseURL {
	if strings.TrimSpace(raw) == "" {
		r.bad(required("fhirServerUrl", "Paste the FHIR server's URL. In the Azure portal: the FHIR service's Overview page, FHIR metadata endpoint."))
		return fhir.BaseURL{}
	}
	base, notes, mistake := fhir.ParseBaseURL(raw, r.anyTarget)
	r.bad(mistake)
	r.notes = append(r.notes, notes...)
	return base
}

// maxDescription bounds the description, in characters.
const maxDescription = 200

func (r *Reader) description(s string) string {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		r.bad(required("description", "Describe the link; the name of your organization is a good description."))
	case utf8.RuneCountInString(s) > maxDescription:
		r.fail("description", "description_too_long", "Shorten it.", "The description has %d characters, more than the %d allowed.", utf8.RuneCountInString(s), maxDescription)
	case strings.ContainsFunc(s, unprintable):
		r.fail("description", "description_syntax", "Write it in one line of plain text.", "The description holds a line break, a control character or an invisible formatting character.")
	}
	return s
}

// unprintable reports whether a character is a control, a line or paragraph separator, or a formatting character
// such as the ones that turn the direction of text.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf, unicode.Co) || r == utf8.RuneError
}
