package intake

import (
	"net/url"
	"strings"

	"fhirlink/shared/entra"
	"fhirlink/shared/paste"
)

var audienceSyntax = paste.MustCompile(`^(?:https|api)://[!-~]+$`)

// userInfo is a user name, perhaps with a password, in front of a host.
var userInfo = paste.MustCompile(`^[a-z]+://[^/]*@`)

var audienceLabel = paste.MustCompile(`(?i)^` + assigned + `(?:audience|aud|resource(?:[ _-]?id)?|scope|app(?:lication)? id uri|identifier[ _-]?uri|` +
	`anwendungs-id-uri|uri d['’]id d['’]application|uri de id\.? de aplicación|uri van toepassings-id)["']?[\s\x{a0}]*[:=\n]\s*`)

// audienceTail is what stands behind an audience in a scope, or behind a server's URL.
var audienceTail = paste.MustCompile(`(?i)(?:/+\.default|/user_impersonation)/*$|^(https://.*)/metadata/*$`)

// maxAudience bounds an App ID URI, in characters (Microsoft Graph, identifierUris of application).
const maxAudience = 255

// audience reads the resource that tokens are asked for: an App ID URI (https://… or api://…), or
// the API's client id. spn: is only a prefix that tokens of version 1 and some tools put before
// both.
func (r *Reader) audience(raw string) string {
	s, hidden := paste.Trim(raw)
	if label := audienceLabel.FindString(s); label != "" {
		r.Note("removed the name in front of the audience")
		s = s[len(label):]
	}
	s = r.unwrapAudience(s, hidden)
	if decoded := unescapedURL(s); decoded != s {
		r.Note("decoded the percent-encoded audience")
		s = decoded
	}
	if rest := audienceTail.ReplaceAllString(s, "$1"); rest != s && rest != "" {
		r.Note("removed %s from the audience", strings.Trim(s[len(rest):], "/"))
		s = rest
	}
	if len(s) > 4 && strings.EqualFold(s[:4], "spn:") {
		r.Note("removed spn: from the audience")
		s = s[4:]
	}
	if trimmed := strings.TrimRight(s, "/"); trimmed != s {
		r.Note("removed the slash at the end of the audience")
		s = trimmed
	}
	if s == "" {
		return ""
	}
	if entra.IsOtherService(s) {
		r.fail("audience", "audience_foreign",
			"Give the audience of the FHIR server itself: its URL, its application ID URI (api://…), or the client id of its own app registration. Or leave the field out: it is found from the server.",
			"This is a service of Microsoft's that is no FHIR server, such as Microsoft Graph. No token is asked for it.")
		return s
	}
	if id, found := bareGUID(s); found {
		if r.refuseZero("audience", id) {
			return ""
		}
		if id != strings.ToLower(s) {
			r.Note("took the GUID out of what was given as audience")
		}
		return id
	}
	if scheme, rest, found := strings.Cut(s, "://"); found {
		scheme = strings.ToLower(scheme)
		if id := strings.ToLower(rest); scheme == "api" && guid.MatchString(id) {
			rest = id
		}
		s = scheme + "://" + rest
	}
	if len(s) > maxAudience || !audienceSyntax.MatchString(s) || !parses(s) || userInfo.MatchString(s) || strings.ContainsAny(s, "\"'<>\\?#") {
		r.fail("audience", "audience_syntax",
			"Give the audience as the FHIR server expects it: a URI such as https://ws-clinic.fhir.azurehealthcareapis.com or api://name, or the client id of the server's own app registration (a GUID). Or leave the field out: it is found from the server.",
			"The audience is neither an https:// or api:// URI nor a GUID.")
	}
	return s
}

// unwrapAudience removes quotes, brackets and punctuation around an audience.
func (r *Reader) unwrapAudience(s string, hidden bool) string {
	before := s
	for {
		inner, _ := paste.Unwrap(s, paste.Quotes+paste.Brackets)
		if inner = strings.Trim(strings.TrimRight(inner, ".,; "), paste.Quotes); inner == s {
			break
		}
		s = inner
	}
	switch {
	case s != before:
		r.Note("removed quotes, brackets or punctuation around the audience")
	case hidden:
		r.Note("removed invisible characters from the audience")
	}
	return s
}

// bareGUID reads a GUID that stands for itself, unlike api://GUID, which is a URI.
func bareGUID(s string) (id string, found bool) {
	if strings.Contains(s, "://") {
		return "", false
	}
	return guidIn(s, nil)
}

// parses reports whether a text is a URI.
func parses(s string) bool {
	_, err := url.Parse(s)
	return err == nil
}
