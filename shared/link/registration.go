package link

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/credential"
	"fhirlink/shared/fhir"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// Registration is what a clinic's administrator hands over: seed 1's five fields, and what
// may be given besides.
type Registration struct {
	Slug            string       `json:"slug"`
	Description     string       `json:"description"`
	FHIRServerURL   string       `json:"fhirServerUrl"`
	ClientID        string       `json:"clientId"`
	ClientSecret    secret.Value `json:"clientSecret"`
	SecretExpiresOn string       `json:"secretExpiresOn"` // YYYY-MM-DD
	TenantID        string       `json:"tenantId"`
	Audience        string       `json:"audience"`
	Listed          bool         `json:"listed"`
	Contacts        []string     `json:"contacts"` // e-mail addresses of whom to tell about the secret's end

	// ClientCertificate takes the place of ClientSecret: a certificate and its RSA key, PEM.
	ClientCertificate secret.Value `json:"clientCertificate"`
}

// NewSecret is a client secret, or a certificate, that is to replace the current one.
type NewSecret struct {
	ClientSecret      secret.Value `json:"clientSecret"`
	ClientCertificate secret.Value `json:"clientCertificate"`
	SecretExpiresOn   string       `json:"secretExpiresOn"`
}

// Patch is a change of some fields of a link; nil leaves a field as it is.
type Patch struct {
	Description     *string          `json:"description"`
	Listed          *bool            `json:"listed"`
	SecretExpiresOn Nullable[string] `json:"secretExpiresOn"`
	FHIRServerURL   *string          `json:"fhirServerUrl"`
	ClientID        *string          `json:"clientId"`
	TenantID        *string          `json:"tenantId"`
	Audience        *string          `json:"audience"`
	Contacts        *[]string        `json:"contacts"`
	ClientSecret    secret.Value     `json:"clientSecret"`

	ClientCertificate secret.Value `json:"clientCertificate"`

	newSecret bool // a secret or a certificate is required
}

// Nullable tells a JSON member that is absent from one that is null.
type Nullable[T any] struct {
	Present bool
	Value   *T // nil when the member is null
}

// UnmarshalJSON runs for present members only, null included.
func (n *Nullable[T]) UnmarshalJSON(data []byte) error {
	n.Present = true
	return json.Unmarshal(data, &n.Value)
}

// application is a registration whose every field was found good.
type application struct {
	slug        Slug
	description string
	server      fhir.BaseURL
	clientID    string
	credential  credential.Credential
	expiresOn   Date
	source      Source
	end         dated // what counts, after the directory was asked
	tenantID    string
	audience    string
	listed      bool
	contacts    []string
}

func (a application) target() verification.Target {
	return verification.Target{Server: a.server, TenantID: a.tenantID, Audience: a.audience, ClientID: a.clientID, Credential: a.credential}
}

// sourceOf is where a date of the secret's end comes from, if it was given.
func sourceOf(d Date, certificate secret.Value) Source {
	switch {
	case d.IsZero():
		return ""
	case !certificate.IsZero():
		return Certificate
	}
	return Typed
}

// fields reads field after field, gathering all mistakes and all that was changed. No message
// quotes a value: in the wrong field it may be the client secret.
type fields struct {
	today     Date
	anyTarget bool
	mistakes  []problem.Field
	notes     []string
}

func (s *Service) fields() *fields {
	return &fields{today: DateOf(s.Now()), anyTarget: s.AnyTarget}
}

// err is nil, or all mistakes in one InvalidFields error.
func (f *fields) err() error {
	if len(f.mistakes) == 0 {
		return nil
	}
	return problem.Invalid(f.mistakes...)
}

func (f *fields) bad(mistake *problem.Field) {
	if mistake != nil {
		f.mistakes = append(f.mistakes, *mistake)
	}
}

func (f *fields) fail(field, code, fix, format string, args ...any) {
	f.bad(&problem.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (f *fields) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

func (f *fields) registration(r Registration) application {
	a := application{listed: r.Listed}
	var mistake *problem.Field
	a.slug, mistake = ParseSlug(r.Slug)
	f.bad(mistake)
	a.description = f.description(r.Description)
	a.server = f.server(r.FHIRServerURL)
	a.tenantID = f.tenantID(r.TenantID)
	a.clientID = f.clientID(r.ClientID, a.tenantID)
	a.audience = f.audience(r.Audience)
	a.expiresOn = f.expiresOn(r.SecretExpiresOn)
	a.contacts = f.contacts(r.Contacts)
	a.credential, a.expiresOn = f.credential(r.ClientSecret, r.ClientCertificate, a.expiresOn)
	a.source = sourceOf(a.expiresOn, r.ClientCertificate)
	return a
}

func (f *fields) server(raw string) fhir.BaseURL {
	if strings.TrimSpace(raw) == "" {
		f.bad(required("fhirServerUrl", "Paste the FHIR server's URL. In the Azure portal: the FHIR service's Overview page, FHIR metadata endpoint."))
		return fhir.BaseURL{}
	}
	base, notes, mistake := fhir.ParseBaseURL(raw, f.anyTarget)
	f.bad(mistake)
	f.notes = append(f.notes, notes...)
	return base
}

// maxDescription bounds the description, in characters.
const maxDescription = 200

func (f *fields) description(s string) string {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		f.bad(required("description", "Describe the link; the name of your organization is a good description."))
	case utf8.RuneCountInString(s) > maxDescription:
		f.fail("description", "description_too_long", "Shorten it.", "The description has %d characters, more than the %d allowed.", utf8.RuneCountInString(s), maxDescription)
	case strings.ContainsFunc(s, unprintable):
		f.fail("description", "description_syntax", "Write it in one line of plain text.", "The description holds a line break, a control character or an invisible formatting character.")
	}
	return s
}

// unprintable is true of controls, line and paragraph separators, and formatting characters
// such as the ones that turn the direction of text.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf, unicode.Co) || r == utf8.RuneError
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// healthcareAPIs is Microsoft's own application "Azure Healthcare APIs" in every tenant.
const healthcareAPIs = "4f6778d8-5aef-43dc-a1ff-b073724b9495"

func (f *fields) clientID(raw, tenantID string) string {
	id := strings.ToLower(strings.TrimSpace(raw))
	const fix = "Copy Application (client) ID from the Overview page of your app registration in the Microsoft Entra admin center."
	switch {
	case id == "":
		f.bad(required("clientId", fix))
	case !guid.MatchString(id):
		f.fail("clientId", "client_id_syntax", fix, "The client id is not a GUID.")
	case id == healthcareAPIs:
		f.fail("clientId", "client_id_is_healthcare_apis", fix, "This is the id of Microsoft's own application Azure Healthcare APIs, not of your app registration.")
	case id == tenantID:
		f.fail("clientId", "client_id_is_tenant", fix, "The client id is the same as the tenant id.")
	}
	return id
}

// personalAccounts is the tenant of Microsoft accounts that belong to no organization.
const personalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"

func (f *fields) tenantID(raw string) string {
	id := strings.ToLower(strings.TrimSpace(raw))
	const fix = "Copy Directory (tenant) ID from the Overview page of your app registration, or leave the field out: it is found from the FHIR server."
	switch {
	case id == "":
	case !guid.MatchString(id):
		f.fail("tenantId", "tenant_id_syntax", fix, "The tenant id is not a GUID.")
	case id == personalAccounts:
		f.fail("tenantId", "tenant_id_personal", fix, "This is the tenant of personal Microsoft accounts; a FHIR server belongs to an organization's tenant.")
	}
	return id
}

var audienceSyntax = regexp.MustCompile(`^(?:https|api)://[!-~]+$`)

func (f *fields) audience(raw string) string {
	s := strings.TrimSuffix(strings.TrimSpace(raw), "/.default")
	trimmed := strings.TrimRight(s, "/")
	if trimmed != s {
		f.note("removed the slash at the end of the audience")
	}
	if trimmed != "" && (len(trimmed) > 255 || !audienceSyntax.MatchString(trimmed) || strings.ContainsAny(trimmed, `"\?#`)) {
		f.fail("audience", "audience_syntax", "Give the audience as the FHIR server expects it, e.g. https://ws-clinic.fhir.azurehealthcareapis.com, or leave the field out: it is found from the server.", "The audience is not an https:// or api:// URI.")
	}
	return trimmed
}

// fieldsCheck is the report's first check: what is known without asking anybody.
func fieldsCheck(expiresOn Date, now time.Time) verification.Check {
	c := verification.Check{ID: verification.CheckFields, Title: "The fields are well-formed", Status: verification.Pass, Code: "ok"}
	switch {
	case expiresOn.IsZero():
		c.Status, c.Code = verification.Warn, "expiry_missing"
		c.Message = "It is not known when the client secret expires, so nobody can be warned in time."
		c.Fix = "Copy the date in the column Expires beside the secret (Certificates & secrets) into secretExpiresOn."
	case expiresOn.DaysFrom(DateOf(now)) < 0:
		c.Status, c.Code = verification.Warn, "expiry_past"
		c.Message = "By the date that was given, the client secret expired on " + expiresOn.String() + "."
		c.Fix = "Create a new client secret and send it with PUT /api/links/{slug}/secret, or correct secretExpiresOn."
	}
	return c
}
