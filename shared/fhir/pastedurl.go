package fhir

import (
	"net/url"
	"strings"

	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// bareURL removes what surrounds a URL that was copied out of a text. notes say in words what was
// removed.
func bareURL(raw string) (text string, notes []string) {
	visible := paste.Visible(raw)
	text = strings.TrimSpace(visible)
	if text != visible {
		notes = append(notes, "removed the space around the FHIR server URL")
	}
	if visible != raw {
		notes = append(notes, "removed invisible characters from the FHIR server URL")
	}
	if before, url := splitLabel(text); before {
		text = url
		notes = append(notes, "removed the words in front of the FHIR server URL")
	}
	enclosed := false
	for {
		inner, unwrapped := paste.Unwrap(text, paste.Quotes+paste.Brackets)
		if inner = trimPunctuation(inner); inner == text && !unwrapped {
			break
		}
		enclosed, text = true, inner
	}
	if enclosed {
		notes = append(notes, "removed quotes, brackets or punctuation around the FHIR server URL")
	}
	if target, filtered := filteredLink(text); filtered {
		text = target
		notes = append(notes, "took the FHIR server URL out of the link of a mail filter")
	}
	return text, notes
}

var (
	markdown = paste.MustCompile(`^\[[^\[\]]*\]\((https?://[^()\s]+)\)$`)
	curl     = paste.MustCompile(`(?i)^curl\s(?:.*?[\s"'])??(https?://[^\s"']+)`)
	// label is words in front of a URL, as in "FHIR metadata endpoint: https://…" and in files of settings.
	label = paste.MustCompile(`^[^/\p{L}\p{N}]*[\p{L}\p{N}][^/]{0,119}?[\s:="'<(](?i:(https?://.*))$`)
	// schemes is a URL that was pasted behind another https://.
	schemes = paste.MustCompile(`^(?i)(?:https?://)+(https?://.*)$`)
	// behindURL is what requests and scripts have behind a URL.
	behindURL = paste.MustCompile(`\s+(?:HTTP/[0-9.]+|\\)$`)
	// doubled is a link as Outlook copies it into plain text.
	doubled = paste.MustCompile(`^(https?://[^\s<>]+)\s*<(https?://[^\s<>]+)>$`)
)

// splitLabel finds a URL behind a few words.
func splitLabel(text string) (found bool, url string) {
	if m := schemes.FindStringSubmatch(text); m != nil {
		return true, m[1]
	}
	if m := doubled.FindStringSubmatch(text); m != nil && strings.TrimRight(m[1], "/") == strings.TrimRight(m[2], "/") {
		return true, "<" + m[2] + ">"
	}
	for _, around := range []*paste.Pattern{markdown, curl, label} {
		if m := around.FindStringSubmatch(text); m != nil {
			return true, behindURL.ReplaceAllString(m[1], "")
		}
	}
	return false, ""
}

var (
	safeLink   = paste.MustCompile(`(?i)^https://(?:[a-z0-9-]+\.safelinks\.protection\.(?:outlook|office365)\.(?:com|us)/|statics\.teams\.cdn\.office\.net/evergreen-assets/safelinks/).*[?&]url=([^&]+)`)
	urlDefense = paste.MustCompile(`(?i)^https://urldefense\.(?:proofpoint\.)?com/v3/__(https?:/.*?)__;`)
)

// filteredLink returns the URL that a mail filter (Microsoft's Safe Links, Proofpoint's URL Defense)
// put its own in the place of.
func filteredLink(text string) (target string, found bool) {
	if m := urlDefense.FindStringSubmatch(text); m != nil {
		return m[1], true
	}
	m := safeLink.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	target, err := url.QueryUnescape(m[1])
	return target, err == nil
}

// edges are characters that enclose or follow a URL in a text. None of them ends a base URL.
const edges = ".,;|!\"'`“”„‘’«»<>…·"

// bulletPoints stand in front of the entries of a list.
const bulletPoints = "-*• "

// trimPunctuation leaves dot segments as they are, and brackets that are in pairs.
func trimPunctuation(s string) string {
	trimmed := s
	for before := ""; before != trimmed; {
		before = trimmed
		trimmed = strings.TrimSpace(strings.TrimRight(strings.TrimLeft(trimmed, edges+bulletPoints), edges))
		for _, pair := range []string{"()", "[]", "{}"} {
			if strings.Count(trimmed, pair[:1]) < strings.Count(trimmed, pair[1:]) {
				trimmed = strings.TrimSuffix(trimmed, pair[1:])
			}
		}
	}
	if strings.HasSuffix(trimmed, "/") && (strings.HasSuffix(s, "/.") || strings.HasSuffix(s, "/..")) {
		return s
	}
	return trimmed
}

// armID finds workspace and service in the resource id of a FHIR service
// (https://learn.microsoft.com/azure/templates/microsoft.healthcareapis/workspaces/fhirservices).
var armID = paste.MustCompile(`(?i)/workspaces/([a-z0-9-]{1,64})/fhirservices/([a-z0-9-]{1,64})(?:[/?#]|$)`)

// checkResourceID refuses the id by which Azure Resource Manager knows a service, with and without
// the address of Resource Manager in front.
func checkResourceID(text string) *problem.Field {
	lower := strings.ToLower(text)
	_, path, found := strings.Cut(lower, "://management.azure.com")
	if !found {
		_, path, found = strings.Cut(lower, "://management.usgovcloudapi.net")
	}
	if !found {
		path = "/" + strings.TrimLeft(lower, "/")
	}
	if !found && !strings.HasPrefix(path, "/subscriptions/") && !strings.HasPrefix(path, "/providers/") {
		return nil
	}
	fix := exampleFix
	if m := armID.FindStringSubmatch(path); m != nil {
		fix = "The URL of this FHIR service is https://" + m[1] + "-" + m[2] + ".fhir.azurehealthcareapis.com in Azure's public cloud: compare it with \"FHIR metadata endpoint\" on the Overview page of the FHIR service, and give that."
	}
	return urlMistake("url_resource_id", "This is the resource id of a service in Azure (/subscriptions/…), not the URL of a FHIR server.", fix)
}

// trimPath removes what people copy along with the base URL.
func trimPath(u *url.URL) (path string, notes []string) {
	if u.RawQuery != "" || u.ForceQuery {
		notes = append(notes, "removed the query from the FHIR server URL")
	}
	microsoft := kindOf(u.Hostname()).Microsoft()
	full := u.EscapedPath()
	path = strings.TrimRight(full, "/")
	slashed, removed := path != full, map[string]bool{}
	for {
		rest, what := trimTail(path, microsoft)
		if what == "" {
			break
		}
		path = strings.TrimRight(rest, "/")
		if !removed[what] {
			removed[what] = true
			notes = append(notes, "removed "+what+" from the FHIR server URL")
		}
	}
	if slashed && len(removed) == 0 {
		notes = append(notes, "removed the trailing / from the FHIR server URL")
	}
	return path, notes
}

// pastedEnd is punctuation at the end of a path, also percent-encoded: quotes, angle brackets, space,
// comma, zero-width characters.
var pastedEnd = paste.MustCompile(`(?i)(?:[.,;:!']|/\*{1,2}|%22|%27|%3c|%3e|%20|%2c|%3b|%e2%80%8[b-f]|%e2%80%9[89cd]|%ef%bb%bf|%c2%a0)+$`)

// metadataEnd is /metadata, perhaps with parameters that are joined in the wrong way.
var metadataEnd = paste.MustCompile(`(?i)/metadata(?:[&;][^/]*)?$`)

// dotSegment is a dot segment at the end of a path (RFC 3986 §3.3).
var dotSegment = paste.MustCompile(`/\.{1,2}$`)

// trimTail removes one thing from the end of a path that has no trailing slash. what says in words
// what it was, "" if there was nothing.
func trimTail(path string, microsoft bool) (rest, what string) {
	const wellKnown = "/.well-known"
	if at := metadataEnd.FindStringIndex(path); at != nil {
		return path[:at[0]], "/metadata"
	}
	if at := strings.Index(strings.ToLower(path)+"/", wellKnown+"/"); at >= 0 {
		return path[:at], "/.well-known and what follows it"
	}
	if at := pastedEnd.FindStringIndex(path); at != nil && !dotSegment.MatchString(path) {
		return path[:at[0]], "punctuation at the end"
	}
	if at := resourcePath(path, microsoft); at >= 0 {
		return path[:at], "the resource type and what follows it"
	}
	if at := strings.LastIndexByte(path, '/'); at >= 0 && isInteraction(path[at+1:]) {
		return path[:at], "the operation at the end"
	}
	return path, ""
}

// resourcePath returns where a request for resources begins at the end of a path, as in /Patient,
// /Patient/123, /Patient/123/_history/1, /Patient/_search and /Patient/$everything, or -1. Behind
// other types than Patient, and on other hosts than Microsoft's, a segment must look like an id,
// because base URLs such as /Organization/r4 exist.
func resourcePath(path string, microsoft bool) int {
	segments := strings.Split(path, "/")
	at := len(path)
	for i := len(segments) - 1; i > 0; i-- {
		at -= len(segments[i]) + 1
		if !smart.IsResourceType(segments[i]) && !smart.IsSTU3ResourceType(segments[i]) {
			continue
		}
		rest := segments[i+1:]
		if len(rest) == 0 || isInteraction(rest[0]) {
			return at
		}
		if len(rest) > 1 && isInteraction(rest[1]) {
			return at
		}
		anyID := microsoft || segments[i] == "Patient"
		if (anyID || looksLikeID(rest[0])) && len(rest) == 1 {
			return at
		}
	}
	return -1
}

func isInteraction(segment string) bool {
	return segment == "_history" || segment == "_search" || strings.HasPrefix(segment, "$")
}

var (
	numericID = paste.MustCompile(`^[0-9]{2,64}$`)
	longID    = paste.MustCompile(`^[A-Za-z0-9.-]{8,64}$`)
)

// looksLikeID reports whether a segment is a number of two digits or more, or a longer id with a
// digit in it.
func looksLikeID(segment string) bool {
	return numericID.MatchString(segment) || longID.MatchString(segment) && strings.ContainsAny(segment, "0123456789")
}
