package verification

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
)

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
	case r.wanted != "" && !r.trusted(r.wanted):
		r.facts["{wanted}"] = r.wanted
		r.facts["{audienceFix}"] = "Give " + r.wanted + " as audience in the link only if it names this FHIR server's own app registration, and no other service."
	case r.wanted != "":
		r.facts["{wanted}"] = r.wanted
		r.facts["{audienceFix}"] = "Leave audience empty, so that it is taken from the server, or set it to " + r.wanted + "."
	case r.namedGUID != "":
		r.facts["{wanted}"] = r.namedGUID
		r.facts["{audienceFix}"] = "Give " + r.namedGUID + " as audience in the link only if it is the client id of this FHIR server's own app registration, and of no other service."
	default:
		r.facts["{wanted}"] = "an audience that it does not name"
		r.facts["{audienceFix}"] = "Find out which audience the FHIR server is configured to check, and give that one as audience in the link."
	}
}

// namedAudience returns what a challenge says about the audience. A realm may also be the URL of an
// identity provider.
func namedAudience(c fhir.Challenge) string {
	realm := c.Params["realm"]
	provider := foreignRealm(fhir.Challenge{Params: map[string]string{"realm": realm}}) != ""
	if n, _ := parseAuthority(realm); provider || entraHosts[n.host] != "" {
		realm = ""
	}
	return cmp.Or(c.Params["resource_id"], c.Params["resource"], realm)
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
	return r.kind.Microsoft() && u.Scheme == "https" && !entra.IsOtherService(audience)
}
