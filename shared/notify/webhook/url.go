package webhook

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/egress"
	"fhirlink/shared/problem"
)

// Limits of what users enter.
const (
	maxURL         = 2048 // bytes
	maxDescription = 200  // characters
)

const exampleURL = "https://example.org/webhooks/fhirlink"

// parseURL parses the address of an endpoint and returns it in canonical form: https, host in
// lower case, no port 443. It does not change path and query. With anyTarget, addresses and ports
// are checked only when dialled (FHIRLINK_EGRESS_ALLOW is set).
func parseURL(raw string, anyTarget bool) (string, *problem.Field) {
	u, mistake := splitURL(strings.TrimSpace(raw))
	if mistake != nil {
		return "", mistake
	}
	host, mistake := parseHost(strings.ToLower(u.Hostname()), anyTarget)
	if mistake != nil {
		return "", mistake
	}
	port, mistake := parsePort(u.Port(), anyTarget)
	if mistake != nil {
		return "", mistake
	}
	u.Host = host + port
	return u.String(), nil
}

func splitURL(text string) (*url.URL, *problem.Field) {
	switch {
	case text == "":
		return nil, urlMistake("required", "The address of the webhook is missing.", "Give the https address that events are to be posted to, e.g. "+exampleURL+".")
	case len(text) > maxURL:
		return nil, urlMistake("url_syntax", "The address is longer than "+strconv.Itoa(maxURL)+" characters.", "Send a shorter one.")
	case strings.ContainsFunc(text, foreign):
		return nil, urlMistake("url_syntax", "The address has a character that no URL may have (space, control character, letter outside ASCII, or one of \\ \" < > ^ ` { | }).",
			"Percent-encode it. Write an international domain name in its ASCII form (xn--…).")
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !strings.EqualFold(scheme, "https") {
		return nil, urlMistake("url_not_https", "The address does not begin with https://.", "Give an https address, e.g. "+exampleURL+".")
	}
	u, err := url.Parse("https://" + rest)
	switch {
	case err != nil:
		return nil, urlMistake("url_syntax", "The address is not a URL.", "Send an address such as "+exampleURL+".")
	case u.User != nil:
		return nil, urlMistake("url_syntax", "The address has a user name or password in front of the host.", "Remove it: the signature of each event shows who sent it.")
	case strings.Contains(rest, "#"):
		return nil, urlMistake("url_syntax", "The address has a fragment (#…), which is never sent.", "Remove # and everything behind it.")
	}
	u.Host = strings.TrimSuffix(u.Host, ":")
	return u, nil
}

func foreign(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r)
}

func parseHost(host string, anyTarget bool) (string, *problem.Field) {
	if a, err := netip.ParseAddr(host); err == nil && anyTarget && a.Zone() == "" {
		if a = a.Unmap(); a.Is4() {
			return a.String(), nil
		}
		return "[" + a.String() + "]", nil
	}
	switch {
	case egress.LooksLikeAddress(host):
		return "", urlMistake("url_syntax", "The address names its server by an IP address.", "Use the server's DNS name.")
	case !egress.IsName(host):
		return "", urlMistake("url_syntax", "The host of the address is not a DNS name: it may have letters, digits, hyphens and single dots only.", "Send an address such as "+exampleURL+".")
	case !strings.Contains(host, ".") && !anyTarget:
		return "", urlMistake("url_syntax", "The host of the address has no domain.", "Use the full DNS name.")
	}
	return host, nil
}

// parsePort returns ":port", or "" for the default port.
func parsePort(port string, anyTarget bool) (string, *problem.Field) {
	if port == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0:
		return "", urlMistake("url_syntax", "The address names a port that does not exist.", "Remove the port.")
	case n == 443:
		return "", nil
	case !anyTarget:
		return "", urlMistake("url_syntax", "The address names another port than 443, the only one allowed.", "Receive webhooks on port 443.")
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

func parseDescription(raw string) (string, *problem.Field) {
	text := strings.TrimSpace(raw)
	switch {
	case utf8.RuneCountInString(text) > maxDescription:
		return "", &problem.Field{Field: "description", Code: "description_too_long", Message: "The description has more than " + strconv.Itoa(maxDescription) + " characters.", Fix: "Shorten it."}
	case strings.ContainsFunc(text, unprintable):
		return "", &problem.Field{Field: "description", Code: "description_syntax", Message: "The description holds a line break, a control character or an invisible formatting character.", Fix: "Write it in one line of plain text."}
	}
	return text, nil
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf, unicode.Co) || r == utf8.RuneError
}

func urlMistake(code, message, fix string) *problem.Field {
	return &problem.Field{Field: "url", Code: code, Message: message, Fix: fix}
}
