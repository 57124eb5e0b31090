package verification

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"fhirlink/shared/fhir"
	"fhirlink/shared/secret"
)

// authority finds tenant and audience, and checks that the server demands a token. Its findings
// only inform: the token is requested from the configured authority.
func (r *run) authority(ctx context.Context) Check {
	a, err := r.probeRead(ctx, secret.Value{})
	r.note(a)
	if err != nil {
		return r.found(r.brokenCode(a, err), a)
	}
	if r.open(a) {
		return r.found("server_open", a)
	}
	if code := transientCode(a); code != "" {
		return r.found(code, a)
	}
	if a.Reason() == fhir.GatewayKeyMissing {
		return r.found("gateway_key_missing", a)
	}
	challenge := fhir.Challenge{}
	if a.Status == http.StatusUnauthorized && a.Challenge != nil {
		challenge = *a.Challenge
	}
	elsewhere, code := r.decideTenant(ctx, challenge)
	if code == "" {
		code = r.decideAudience(challenge)
	}
	if code == "tenant_unknown" {
		code = r.unknownCode(a)
	}
	return r.authorityCheck(a, code, challenge, elsewhere)
}

// authorityCheck returns the finding code, or else the most important warning.
func (r *run) authorityCheck(a fhir.Answer, code string, challenge fhir.Challenge, elsewhere string) Check {
	switch {
	case code != "":
		return r.found(code, a)
	case elsewhere != "":
		r.facts["{other}"] = elsewhere
		return r.found("authority_elsewhere", a)
	case r.namedGUID != "" && r.wanted == "" && r.Audience == r.Server.String():
		r.facts["{wanted}"] = r.namedGUID
		return r.found("audience_guid", a)
	case challenge.Scheme == "":
		r.facts["{asks}"] = ""
		if seen := r.foreignSignIn(a); seen != "" {
			r.facts["{asks}"] = " It answered with " + seen + "."
		}
		return r.found("no_challenge", a)
	}
	return r.pass(a, "Tenant {tenant}, audience {audience}.")
}

// probeRead asks for what proves the right to read. A server that does not understand a count is
// asked for the id of one patient.
func (r *run) probeRead(ctx context.Context, token secret.Value) (fhir.Answer, error) {
	if r.kind.Microsoft() {
		return r.client.Read(ctx, fhir.MissingBasic(r.probe), token)
	}
	if !r.noCount {
		a, err := r.client.Read(ctx, fhir.CountPatients(), token)
		if err != nil || !notUnderstood(a) {
			return a, err
		}
	}
	a, err := r.client.Read(ctx, fhir.OnePatient(), token)
	r.noCount = err == nil && !notUnderstood(a) // otherwise it was not the count
	return a, err
}

func notUnderstood(a fhir.Answer) bool {
	switch a.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// open reports whether the server answered a read without a token.
func (r *run) open(a fhir.Answer) bool {
	ok := a.Status >= 200 && a.Status < 300
	if r.kind.Microsoft() {
		return ok || a.NotFound()
	}
	switch a.ResourceType {
	case "", "OperationOutcome", "CapabilityStatement":
		return false
	}
	return ok
}

// unknownCode distinguishes why no tenant is known: it is named in another way, or another sign-in
// is wanted.
func (r *run) unknownCode(a fhir.Answer) string {
	switch r.namedTenant {
	case "":
		if seen := r.foreignSignIn(a); seen != "" {
			r.facts["{seen}"] = seen
			return "sign_in_unsupported"
		}
		return "tenant_unknown"
	case "common", "organizations", "consumers":
		r.facts["{other}"] = r.namedTenant
		return "tenant_unknown/any"
	}
	r.facts["{other}"] = r.namedTenant
	return "tenant_unknown/domain"
}

// foreignSignIn says what the server wants instead of a token of Entra, or "".
func (r *run) foreignSignIn(a fhir.Answer) string {
	switch {
	case a.IsAmazon():
		return "a demand for requests signed for Amazon Web Services (Signature Version 4)"
	case a.SignIn():
		return "a redirect to a sign-in page at " + a.RedirectHost
	case a.Status >= 300 && a.Status < 400:
		return "a redirect to " + r.facts["{redirect}"]
	case a.Challenge != nil:
		return foreignRealm(*a.Challenge)
	case a.Status < 300 && a.IsPage():
		return "a web page (" + a.MediaType + ")"
	}
	var schemes []string
	for _, s := range a.Schemes {
		if s = cmp.Or(schemeNames[strings.ToLower(s)], fhir.Printable(s)); !slices.Contains(schemes, s) && len(schemes) < 4 {
			schemes = append(schemes, s)
		}
	}
	if schemes == nil {
		return ""
	}
	return "a demand for sign-in by " + strings.Join(schemes, ", ")
}

var schemeNames = map[string]string{
	"ntlm": "NTLM (Windows accounts)", "negotiate": "Negotiate (Windows accounts, Kerberos)", "kerberos": "Kerberos",
	"basic": "Basic (user name and password)", "digest": "Digest (user name and password)",
}

// providers are other identity providers, by the end of their host names.
var providers = []string{
	"accounts.google.com", "googleapis.com", "okta.com", "oktapreview.com", "auth0.com", "amazoncognito.com", "amazonaws.com", "pingone.com", "onelogin.com",
}

// foreignRealm says which provider a Bearer challenge names instead of Entra, or "".
func foreignRealm(c fhir.Challenge) string {
	for _, name := range []string{"realm", "issuer", "as_uri", "authorization_uri", "authorization"} {
		n, path := parseAuthority(c.Params[name])
		known := slices.ContainsFunc(providers, func(p string) bool { return n.host == p || strings.HasSuffix(n.host, "."+p) })
		if known || n.host != "" && strings.Contains(path, "/realms/") { // of Keycloak
			return "a demand for a token of " + n.host
		}
	}
	return ""
}

// namedAuthority is an authority that a server names. name is a tenant that is not named by its id.
type namedAuthority struct{ host, tenant, name string }

// decideTenant takes the tenant from the first source that names an authority: the challenge, the
// oauth-uris, then smart-configuration. elsewhere is the host of a foreign authority that is named,
// too.
func (r *run) decideTenant(ctx context.Context, challenge fhir.Challenge) (elsewhere, code string) {
	if cloud := r.kind.Cloud.Authority(); cloud != "" && !sameAuthority(cloud, hostOf(r.configured)) {
		r.facts["{other}"] = cloud
		return "", "cloud_unsupported"
	}
	sources := r.challengeSources(challenge)
	sources = append(sources, r.sources(r.capability.OAuth.Token, r.capability.OAuth.Authorize)...)
	if r.TenantID == "" && !anyTenant(sources) {
		// An unreadable answer names no authority, which is judged below.
		configuration, _, _ := r.client.SMARTConfiguration(ctx)
		sources = append(sources, r.sources(configuration.Token, configuration.Authorize)...)
		// A server that issues no tokens may still be the issuer of its own statements, so that
		// these two count only when they name Entra.
		sources = append(sources, r.entraSources(configuration.Issuer, configuration.Keys)...)
	}
	return r.weighSources(sources)
}

// challengeSources reads the parameters in which Microsoft's services name their authority.
func (r *run) challengeSources(c fhir.Challenge) []namedAuthority {
	return append(r.sources(c.Params["authorization_uri"], c.Params["authorization"]), r.entraSources(c.Params["realm"], c.Params["issuer"], c.Params["as_uri"])...)
}

func (r *run) entraSources(uris ...string) []namedAuthority {
	return slices.DeleteFunc(r.sources(uris...), func(n namedAuthority) bool {
		return !sameAuthority(n.host, hostOf(r.configured)) && entraHosts[n.host] == ""
	})
}

func (r *run) weighSources(sources []namedAuthority) (elsewhere, code string) {
	ours, first := hostOf(r.configured), true
	tenant := r.TenantID
	for _, s := range sources {
		switch {
		case !sameAuthority(s.host, ours) && first && (r.TenantID == "" || entraHosts[s.host] != ""):
			r.noteMismatch(s.host, sources)
			return "", mismatchCode(s.host)
		case !sameAuthority(s.host, ours):
			elsewhere = cmp.Or(elsewhere, s.host)
			continue // what our authority says first still counts
		case tenant == "":
			tenant = s.tenant
			r.namedTenant = cmp.Or(r.namedTenant, s.name)
		case s.tenant != "" && s.tenant != tenant && (r.TenantID == "" || first):
			r.facts["{tenant}"], r.facts["{other}"] = tenant, s.tenant
			return "", "tenant_conflict"
		}
		first = false
	}
	if tenant == "" {
		return elsewhere, "tenant_unknown"
	}
	r.TenantID, r.report.TenantID, r.facts["{tenant}"] = tenant, tenant, tenant
	return elsewhere, ""
}

// noteMismatch records the foreign authority, and a tenant of ours that is named beside it.
func (r *run) noteMismatch(host string, sources []namedAuthority) {
	r.facts["{other}"] = host
	if host == r.Server.Host() {
		r.facts["{other}"] = host + " (itself)"
	}
	for _, s := range sources {
		if s.tenant != "" && sameAuthority(s.host, hostOf(r.configured)) {
			r.facts["{issuerTenant}"] = " It also names the tenant " + s.tenant + "."
			return
		}
	}
}

func anyTenant(sources []namedAuthority) bool {
	return slices.ContainsFunc(sources, func(n namedAuthority) bool { return n.tenant != "" })
}

// sources extracts the authorities from URIs. The SMART proxy of Microsoft's server sits in front
// of the authority and does not name it (retired on 2026-09-21, still in statements).
func (r *run) sources(uris ...string) []namedAuthority {
	var out []namedAuthority
	for _, uri := range uris {
		n, path := parseAuthority(uri)
		proxy := r.kind.Microsoft() && n.host == r.Server.Host() && strings.HasPrefix(path, "/AadSmartOnFhirProxy/")
		if n.host != "" && !proxy {
			out = append(out, n)
		}
	}
	return out
}

var (
	guid     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hostName = regexp.MustCompile(`^[a-z0-9.-]{1,253}$`)
)

// parseAuthority reads https://{host}/{tenant}/…. Only a GUID counts as a tenant; name is a domain or
// one of Entra's words for many tenants.
func parseAuthority(uri string) (n namedAuthority, path string) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" {
		return namedAuthority{}, ""
	}
	host := strings.ToLower(u.Hostname())
	if !hostName.MatchString(host) {
		return namedAuthority{}, ""
	}
	n.host = host
	first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch first = strings.ToLower(first); {
	case guid.MatchString(first):
		n.tenant = first
	case manyTenants[first], strings.Contains(first, ".") && hostName.MatchString(first) && !version.MatchString(first):
		n.name = first
	}
	return n, u.Path
}

var (
	manyTenants = map[string]bool{"common": true, "organizations": true, "consumers": true}
	version     = regexp.MustCompile(`^v[0-9.]+$`)
)

func hostOf(authority string) string {
	n, _ := parseAuthority(authority)
	return n.host
}

// entraHosts maps every authority name of Microsoft's clouds that servers advertise to the
// canonical one.
var entraHosts = map[string]string{
	"login.microsoftonline.com":        "login.microsoftonline.com",
	"login.windows.net":                "login.microsoftonline.com",
	"login.microsoft.com":              "login.microsoftonline.com",
	"sts.windows.net":                  "login.microsoftonline.com",
	"login.microsoftonline.us":         "login.microsoftonline.us",
	"login.partner.microsoftonline.cn": "login.partner.microsoftonline.cn",
	"login.chinacloudapi.cn":           "login.partner.microsoftonline.cn",
}

func sameAuthority(a, b string) bool {
	return cmp.Or(entraHosts[a], a) == cmp.Or(entraHosts[b], b)
}

// mismatchCode returns the code for a foreign authority: another Microsoft cloud, or a stranger.
func mismatchCode(host string) string {
	if entraHosts[host] != "" {
		return "cloud_unsupported"
	}
	return "authority_mismatch"
}

// decideAudience takes the audience from the user, else from the challenge, else from the base
// URL.
func (r *run) decideAudience(challenge fhir.Challenge) (code string) {
	named := namedAudience(challenge)
	r.wanted, r.namedGUID = usableAudience(named), guidAudience(named)
	r.noteWanted()
	audience := r.Audience
	if audience == "" {
		audience = cmp.Or(r.wanted, r.Server.String())
		if !r.trusted(audience) {
			return "audience_foreign"
		}
	}
	r.Audience, r.report.Audience, r.facts["{audience}"], r.facts["{aud}"] = audience, audience, audience, audience
	return ""
}

// noteWanted records the audience that the server named, and what to do if it refuses another one.
func (r *run) noteWanted() {
	switch {
	case r.wanted != "":
		r.facts["{wanted}"] = r.wanted
		r.facts["{audienceFix}"] = "Leave audience empty, so that it is taken from the server, or set it to " + r.wanted + "."
	case r.namedGUID != "":
		r.facts["{wanted}"] = r.namedGUID
		r.facts["{audienceFix}"] = "If " + r.namedGUID + " is the client id of the FHIR server's API registration, give it as audience in the link."
	default:
		r.facts["{wanted}"] = "an audience that it does not name"
		r.facts["{audienceFix}"] = "Find out which audience the FHIR server is configured to check, and give that one as audience in the link."
	}
}

// namedAudience returns what a challenge says about the audience.
func namedAudience(c fhir.Challenge) string {
	return cmp.Or(c.Params["resource_id"], c.Params["resource"], c.Params["realm"])
}

// guidAudience returns the GUID of an audience GUID, spn:GUID or api://GUID, or "".
func guidAudience(text string) string {
	text = strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "/")
	for _, prefix := range []string{"spn:", "api://"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if !guid.MatchString(text) {
		return ""
	}
	return text
}

var audienceText = regexp.MustCompile(`^(https://[A-Za-z0-9.-]+(:[0-9]+)?|api://[A-Za-z0-9.-]+)(/[A-Za-z0-9._~/-]*)?$`)

// usableAudience drops trailing slashes: Entra's scope is the audience + "/.default", and
// Microsoft's servers refuse a token for "…//.default". It returns "" for text that is not an
// audience, because a realm may be any text.
func usableAudience(text string) string {
	text = strings.TrimRight(text, "/")
	if len(text) > 512 || !audienceText.MatchString(text) {
		return ""
	}
	return text
}

// sensitiveDomains holds domains whose tokens open more than a FHIR server: Graph, Resource
// Manager, Key Vault, Storage, Office. Not even a Microsoft server may name one as its audience.
var sensitiveDomains = []string{
	"microsoft.com", "azure.com", "azure.net", "windows.net", "microsoftonline.com", "office.com", "office365.com", "office.net",
	"outlook.com", "sharepoint.com", "dynamics.com", "powerbi.com", "visualstudio.com", "powerapps.com",
	"azure.us", "microsoft.us", "microsoftonline.us", "office365.us", "usgovcloudapi.net",
}

// trusted reports whether to request a token for an audience that the server named. The token
// will be sent to that server. A malicious server could name a real clinic's server as its
// audience, and would receive a token for it (counterfeit resource server, RFC 9700 §4.9.1). So
// only a host with a Microsoft name, which TLS has proven, may name a host other than itself.
func (r *run) trusted(audience string) bool {
	u, err := url.Parse(audience)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if u.Scheme == "https" && host == r.Server.Host() {
		return true
	}
	return r.kind.Microsoft() && u.Scheme == "https" && !slices.ContainsFunc(sensitiveDomains, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}
