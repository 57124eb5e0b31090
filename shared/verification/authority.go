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
	a, err := r.client.Read(ctx, r.readProbe(), secret.Value{})
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
	challenge := fhir.Challenge{}
	if a.Status == http.StatusUnauthorized && a.Challenge != nil {
		challenge = *a.Challenge
	}
	ignored, code := r.decideTenant(ctx, challenge)
	if code == "" {
		code = r.decideAudience(challenge)
	}
	switch {
	case code != "":
		return r.found(code, a)
	case challenge.Scheme == "":
		return r.found("no_challenge", a)
	case ignored != "":
		r.facts["{other}"] = ignored
		c := r.found("authority_mismatch", a)
		c.Status = Warn
		return c
	}
	return r.pass(a, "Tenant {tenant}, audience {audience}.")
}

func (r *run) readProbe() fhir.Probe {
	if r.kind.Microsoft() {
		return fhir.MissingBasic(r.probe)
	}
	return fhir.OnePatient()
}

// open reports whether the server answered a read without a token.
func (r *run) open(a fhir.Answer) bool {
	ok := a.Status >= 200 && a.Status < 300
	if r.kind.Microsoft() {
		return ok || a.NotFound()
	}
	return ok && a.ResourceType != "" && a.ResourceType != "OperationOutcome"
}

// namedAuthority is an authority that a server names.
type namedAuthority struct{ host, tenant string }

// decideTenant takes the tenant from the first source that names an authority: the challenge, the
// oauth-uris, then smart-configuration. ignored is the host of a foreign authority that a later
// source names.
func (r *run) decideTenant(ctx context.Context, challenge fhir.Challenge) (ignored, code string) {
	if cloud := r.kind.Cloud.Authority(); cloud != "" && !sameAuthority(cloud, hostOf(r.configured)) {
		r.facts["{other}"] = cloud
		return "", "cloud_unsupported"
	}
	sources := r.sources(challenge.Params["authorization_uri"], r.capability.OAuth.Token, r.capability.OAuth.Authorize)
	if r.TenantID == "" && !anyTenant(sources) {
		// An unreadable answer names no authority, which is judged below.
		configuration, _, _ := r.client.SMARTConfiguration(ctx)
		sources = append(sources, r.sources(configuration.Token, configuration.Authorize)...)
	}
	return r.weighSources(sources)
}

func (r *run) weighSources(sources []namedAuthority) (ignored, code string) {
	ours, first := hostOf(r.configured), true
	tenant := r.TenantID
	for _, s := range sources {
		switch {
		case !sameAuthority(s.host, ours) && first:
			r.facts["{other}"] = s.host
			return "", mismatchCode(s.host)
		case !sameAuthority(s.host, ours):
			ignored = cmp.Or(ignored, s.host)
		case tenant == "":
			tenant = s.tenant
		case s.tenant != "" && s.tenant != tenant && (r.TenantID == "" || first):
			r.facts["{tenant}"], r.facts["{other}"] = tenant, s.tenant
			return "", "tenant_conflict"
		}
		first = false
	}
	if tenant == "" {
		return ignored, "tenant_unknown"
	}
	r.TenantID, r.report.TenantID, r.facts["{tenant}"] = tenant, tenant, tenant
	return ignored, ""
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

// parseAuthority reads https://{host}/{tenant}/…. Only a GUID counts as a tenant.
func parseAuthority(uri string) (n namedAuthority, path string) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" {
		return namedAuthority{}, ""
	}
	host := strings.ToLower(u.Hostname())
	if !hostName.MatchString(host) {
		return namedAuthority{}, ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if first = strings.ToLower(first); !guid.MatchString(first) {
		first = ""
	}
	return namedAuthority{host, first}, u.Path
}

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
	r.wanted = usableAudience(cmp.Or(challenge.Params["resource_id"], challenge.Params["realm"]))
	r.facts["{wanted}"] = cmp.Or(r.wanted, "an audience that it does not name")
	audience := r.Audience
	if audience == "" {
		audience = cmp.Or(r.wanted, r.Server.String())
		if !r.trusted(audience) {
			return "audience_foreign"
		}
	}
	r.Audience, r.report.Audience, r.facts["{audience}"] = audience, audience, audience
	return ""
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
