package verification

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path"
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
		r.facts["{other}"] = r.nameOf(elsewhere)
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
	r.facts["{asks}"] = ""
	if a.Status != http.StatusUnauthorized {
		r.facts["{asks}"] = " It answered a read without a token with status " + r.facts["{status}"] + "."
	}
	switch r.namedTenant {
	case "":
		if a.Reason() == fhir.APIKeyMissing {
			return "gateway_key_missing"
		}
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
	if c := r.described.Challenge; c != nil && !anyTenant(sources) {
		sources = append(sources, r.challengeSources(*c)...)
	}
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
			if s.name != "" && (r.namedTenant == "" || manyTenants[r.namedTenant]) {
				r.namedTenant = s.name
			}
		case s.tenant != "" && s.tenant != tenant && (r.TenantID == "" || first):
			r.facts["{tenant}"], r.facts["{other}"] = tenant, s.tenant
			if r.TenantID != "" && !namesTwo(sources) {
				r.facts["{given}"] = " The first was given with the link, the second is what the server names."
				r.facts["{find}"] = "Leave tenantId empty, so that it is taken from the server. Or find out"
			}
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

// namesTwo reports whether a server itself names two tenants.
func namesTwo(sources []namedAuthority) bool {
	first := ""
	for _, s := range sources {
		if first != "" && s.tenant != "" && s.tenant != first {
			return true
		}
		first = cmp.Or(first, s.tenant)
	}
	return false
}

func (r *run) nameOf(host string) string {
	if host == r.Server.Host() {
		return "itself"
	}
	return host
}

// noteMismatch records the foreign authority, and a tenant of ours that is named beside it.
func (r *run) noteMismatch(host string, sources []namedAuthority) {
	r.facts["{other}"] = r.nameOf(host)
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

// sources extracts the authorities from URIs. What sits in front of the authority does not name it:
// this deployment's own SMART endpoints, and the SMART proxy of Microsoft's server (retired on
// 2026-09-21, still in statements).
func (r *run) sources(uris ...string) []namedAuthority {
	var out []namedAuthority
	for _, uri := range uris {
		n, at := parseAuthority(uri)
		proxy := r.kind.Microsoft() && n.host == r.Server.Host() && strings.HasPrefix(at, "/AadSmartOnFhirProxy/")
		if n.host != "" && !proxy && !r.ownIssuer(uri) {
			out = append(out, n)
		}
	}
	return out
}

// ownIssuer reports whether a URI is below this deployment's SMART endpoints.
func (r *run) ownIssuer(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || r.publicURL == "" {
		return false
	}
	origin := u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	return origin == r.publicURL && strings.HasPrefix(path.Clean(u.Path), "/api/smart/")
}

var (
	guid     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hostName = regexp.MustCompile(`^[a-z0-9.-]{1,253}$`)
)

// parseAuthority reads https://{host}/{tenant}/…. Entra's own hosts are also taken with http:// and
// without a scheme, because nothing is sent to what is named here. Only a GUID counts as a tenant; name is a domain or
// one of Entra's words for many tenants.
func parseAuthority(uri string) (n namedAuthority, at string) {
	if !strings.Contains(uri, "://") {
		uri = "http://" + uri
	}
	u, err := url.Parse(uri)
	if err != nil {
		return namedAuthority{}, ""
	}
	host := strings.ToLower(u.Hostname())
	if !hostName.MatchString(host) || u.Scheme != "https" && (u.Scheme != "http" || entraHosts[host] == "") {
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
