package intake

import (
	"net/url"
	"strings"

	"fhirlink/shared/paste"
)

var (
	guid  = paste.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	plain = paste.MustCompile(`^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$`)

	clientLabel = idLabel(`[a-z0-9_.:-]*client[ _-]?id|application \(client\) id|client \(application\) id|application id \(client id\)|application[ _-]?id|app[ _-]?id|client|` +
		`anwendungs-id \(client\)|id d['’]application \(client\)|id\.? de (?:la )?aplicación \(cliente\)|toepassings-id \(client\)|id applicazione \(client\)`)
	tenantLabel = idLabel(`[a-z0-9_.:-]*tenant[ _-]?id|directory \(tenant\) id|directory[ _-]?id|tenant|tid|` +
		`verzeichnis-id \(mandant\)|mandanten-id|id de l['’]annuaire \(locataire\)|id\.? de(?:l)? directorio \(inquilino\)|map-id \(tenant\)|id directory \(tenant\)`)

	idScheme = paste.MustCompile(`^(?:api://|urn:uuid:|spn:|uuid:)`)
)

// idLabel matches a name in front of an id, also in the portal's other languages.
func idLabel(names string) *paste.Pattern {
	return paste.MustCompile(`^` + assigned + `(?:` + names + `)["']?(?:[\s\x{a0}]*[:=][\s\x{a0}]*|[\s\x{a0}]+)`)
}

// around are the quotes, brackets and punctuation that enclose or follow an id. No id has them, so
// that they need not be in pairs.
const around = paste.Quotes + "›>)]}＞.,;= \t\r\n<([{"

// guidIn returns the GUID, in lower case, of a text that holds nothing else than one GUID in one
// of the forms in which people find it: in braces or quotes, without hyphens, as api://GUID or
// urn:uuid:GUID, or behind its name.
func guidIn(text string, label *paste.Pattern) (id string, found bool) {
	s, _ := paste.Trim(text)
	s = strings.ToLower(anyHyphens(s))
	if label != nil {
		s = s[len(label.FindString(s)):]
	}
	for {
		inner := strings.Trim(s, around)
		inner = strings.TrimSuffix(inner[len(idScheme.FindString(inner)):], "/")
		if inner == s {
			break
		}
		s = inner
	}
	if m := plain.FindStringSubmatch(s); m != nil {
		s = strings.Join(m[1:], "-")
	}
	return s, guid.MatchString(s)
}

// id reads the GUID of a field, and notes it when more than letter case and white space differs.
func (r *Reader) id(field, text string, label *paste.Pattern) (id string, found bool) {
	id, found = guidIn(text, label)
	if found && id != strings.ToLower(strings.TrimSpace(text)) {
		r.Note("took the GUID out of what was given as %s", field)
	}
	return id, found
}

// zeroGUID is a GUID's default value in typed languages. Entra has no application and no tenant of
// that id.
const zeroGUID = "00000000-0000-0000-0000-000000000000"

// refuseZero reports whether an id is the zero GUID, and refuses it then.
func (r *Reader) refuseZero(field, id string) bool {
	if id != zeroGUID {
		return false
	}
	r.fail(field, "zero_guid",
		"Set the field, or leave it out where it is optional (API: in a client generated from /api/openapi.yaml, leave it null; generate the client again if the field cannot be null there).",
		"This is the all-zero GUID, which no application and no tenant has (API: the likely cause is a generated client that sends default values for what was left out).")
	return true
}

// healthcareAPIs is Microsoft's own application "Azure Healthcare APIs" in every tenant.
const healthcareAPIs = "4f6778d8-5aef-43dc-a1ff-b073724b9495"

func (r *Reader) clientID(raw, tenantID string) string {
	const fix = "Copy Application (client) ID from the Overview page of your app registration in the Microsoft Entra admin center."
	trimmed, _ := paste.Trim(raw)
	if trimmed == "" {
		r.bad(required("clientId", fix))
		return ""
	}
	for _, pattern := range []*paste.Pattern{portalApp, parameter} {
		if m := pattern.FindStringSubmatch(strings.Trim(trimmed, around)); m != nil {
			raw = m[1]
			r.Note("took the GUID out of what was given as clientId")
			break
		}
	}
	id, found := r.id("clientId", raw, clientLabel)
	switch {
	case !found:
		r.fail("clientId", "client_id_syntax", fix, "The client id is not a GUID.")
		return ""
	case r.refuseZero("clientId", id):
		return ""
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
	const (
		fix    = "Copy Directory (tenant) ID from the Overview page of your app registration, or leave the field out: it is found from the FHIR server."
		howTo  = "Find the tenant's GUID in the Microsoft Entra admin center under Entra ID > Overview > Tenant ID, or with `az account show --query tenantId`, or in https://login.microsoftonline.com/YOUR-DOMAIN/v2.0/.well-known/openid-configuration behind \"issuer\". You can also leave the field out: it is found from the FHIR server."
		shared = "common organizations consumers"
	)
	text, _ := paste.Trim(raw)
	if text == "" {
		return ""
	}
	id, found := r.id("tenantId", raw, tenantLabel)
	if !found {
		if name, ofURL := tenantOfURL(text); ofURL {
			if id, found = guidIn(name, nil); found {
				r.Note("took the tenant's GUID out of the URL that was given")
			}
			text = name
		} else {
			text = text[len(tenantLabel.FindString(strings.ToLower(text))):]
		}
	}
	switch name := strings.Trim(strings.ToLower(text), "/. "); {
	case r.refuseZero("tenantId", id):
		return ""
	case found && id == personalAccounts:
		r.fail("tenantId", "tenant_id_personal", fix, "This is the tenant of personal Microsoft accounts; a FHIR server belongs to an organization's tenant.")
	case found:
	case name != "" && strings.Contains(" "+shared+" ", " "+name+" "):
		r.fail("tenantId", "tenant_id_syntax", howTo, "This names no tenant: it is a word that stands for many tenants.")
	case domain.MatchString(name):
		r.fail("tenantId", "tenant_id_syntax", howTo, "This is a domain name, and the tenant id is needed as a GUID: a domain can move to another tenant, its GUID stays.")
	default:
		r.fail("tenantId", "tenant_id_syntax", fix, "The tenant id is not a GUID.")
	}
	if !found {
		return ""
	}
	return id
}

var (
	// portalApp is the address of an application's page in the portal or the admin center.
	portalApp = paste.MustCompile(`(?i)^https://(?:[a-z.]+\.)?(?:portal\.azure\.(?:com|us)|entra\.microsoft\.(?:com|us))/.*/appId/([0-9a-f-]{36})(?:[/?].*)?$`)
	// parameter is a client id in the form or the query of a request to Entra.
	parameter = paste.MustCompile(`(?i)(?:^|[?&])client_id=([0-9a-f-]{36})(?:&|$)`)
	domain    = paste.MustCompile(`^(?:https?://)?(?:[a-z0-9._+-]*@)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}$`)
	authority = paste.MustCompile(`(?i)(?:^|[\s"'<(:=])(?:https?://)?(?:(?:login|sts)\.[a-z0-9.-]+|[a-z0-9-]+\.(?:ciamlogin|b2clogin)\.com)/([^/?#\s"'>]+)`)
	// portalTenant is the address of the portal in a certain directory.
	portalTenant = paste.MustCompile(`(?i)^https://(?:[a-z.]+\.)?(?:portal\.azure|entra\.microsoft)\.(?:com|us)/(?:#@)?([0-9a-f-]{36}|[a-z0-9-]+\.[a-z0-9.-]+)(?:[/?#].*)?$`)
)

// tenantOfURL returns the tenant that a URL of Microsoft's sign-in or of the portal names, such as
// https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token. There may be a name in front of it.
func tenantOfURL(text string) (tenant string, found bool) {
	text = unescapedURL(text)
	for _, pattern := range []*paste.Pattern{authority, portalTenant} {
		if m := pattern.FindStringSubmatch(text); m != nil {
			return m[1], true
		}
	}
	return "", false
}

// unescapedURL decodes a URL that was copied out of the query or the form of a request.
func unescapedURL(text string) string {
	if !strings.Contains(strings.ToLower(text), "%3a%2f%2f") {
		return text
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return decoded
}

// anyHyphens replaces dashes too, where only a hyphen can be meant.
func anyHyphens(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(paste.Dashes, r) {
			return '-'
		}
		return r
	}, paste.Hyphens(s))
}
