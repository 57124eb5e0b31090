package intake

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/fhir"
)

func (r *Reader) server(raw string) fhir.BaseURL {
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

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// healthcareAPIs is Microsoft's own application "Azure Healthcare APIs" in every tenant.
const healthcareAPIs = "4f6778d8-5aef-43dc-a1ff-b073724b9495"

func (r *Reader) clientID(raw, tenantID string) string {
	id := strings.ToLower(strings.TrimSpace(raw))
	const fix = "Copy Application (client) ID from the Overview page of your app registration in the Microsoft Entra admin center."
	switch {
	case id == "":
		r.bad(required("clientId", fix))
	case !guid.MatchString(id):
		r.fail("clientId", "client_id_syntax", fix, "The client id is not a GUID.")
	case id == healthcareAPIs:
		r.fail("clientId", "client_id_is_healthcare_apis", fix, "This is the id of Microsoft's own application Azure Healthcare APIs, not of your app registration.")
	case id == tenantID:
		r.fail("clientId", "client_id_is_tenant", fix, "The client id is the same as the tenant id.")
	}
	return id
}

// personalAccounts is the tenant of Microsoft accounts that belong to no organization.
const personalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"

func (r *Reader) tenantID(raw string) string {
	id := strings.ToLower(strings.TrimSpace(raw))
	const fix = "Copy Directory (tenant) ID from the Overview page of your app registration, or leave the field out: it is found from the FHIR server."
	switch {
	case id == "":
	case !guid.MatchString(id):
		r.fail("tenantId", "tenant_id_syntax", fix, "The tenant id is not a GUID.")
	case id == personalAccounts:
		r.fail("tenantId", "tenant_id_personal", fix, "This is the tenant of personal Microsoft accounts; a FHIR server belongs to an organization's tenant.")
	}
	return id
}

var audienceSyntax = regexp.MustCompile(`^(?:https|api)://[!-~]+$`)

func (r *Reader) audience(raw string) string {
	s := strings.TrimSuffix(strings.TrimSpace(raw), "/.default")
	trimmed := strings.TrimRight(s, "/")
	if trimmed != s {
		r.Note("removed the slash at the end of the audience")
	}
	if trimmed != "" && (len(trimmed) > 255 || !audienceSyntax.MatchString(trimmed) || strings.ContainsAny(trimmed, `"\?#`)) {
		r.fail("audience", "audience_syntax", "Give the audience as the FHIR server expects it, e.g. https://ws-clinic.fhir.azurehealthcareapis.com, or leave the field out: it is found from the server.", "The audience is not an https:// or api:// URI.")
	}
	return trimmed
}
