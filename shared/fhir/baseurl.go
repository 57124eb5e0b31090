package fhir

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fhirlink/shared/egress"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
)

// BaseURL is the service base URL of a FHIR server in its canonical form: https, lower-case
// host, no trailing slash, no query. The zero BaseURL is not valid.
type BaseURL struct{ text string }

// StoredBaseURL restores what String wrote, without validating it again. ok is false if String
// cannot have written text.
func StoredBaseURL(text string) (base BaseURL, ok bool) {
	return BaseURL{text}, strings.HasPrefix(text, "https://")
}

// String returns the canonical form, e.g. https://ws-clinic.fhir.azurehealthcareapis.com
func (b BaseURL) String() string { return b.text }

// Host returns the host name or address, without port and brackets.
func (b BaseURL) Host() string {
	authority, _, _ := strings.Cut(strings.TrimPrefix(b.text, "https://"), "/")
	return (&url.URL{Host: authority}).Hostname()
}

// Kind returns the product behind the host, as far as the host name shows it.
func (b BaseURL) Kind() Kind { return kindOf(b.Host()) }

// baseURLField is the request member that all mistakes in this file refer to.
const baseURLField = "fhirServerUrl"

// maxURL is the length limit of a URL, in bytes.
const maxURL = 2048

// ParseBaseURL parses what an administrator pasted. notes say in words what was removed. mistake
// is nil if the URL is valid. With anyTarget, addresses and ports are checked only when they are
// dialled (FHIRLINK_EGRESS_ALLOW is not empty).
func ParseBaseURL(raw string, anyTarget bool) (base BaseURL, notes []string, mistake *problem.Field) {
	text, notes := bareURL(raw)
	u, said, mistake := splitURL(text)
	if mistake != nil {
		return BaseURL{}, nil, mistake
	}
	notes = append(notes, said...)
	authority, said, mistake := parseAuthority(u, anyTarget)
	if mistake != nil {
		return BaseURL{}, nil, mistake
	}
	notes = append(notes, said...)
	path, said := trimPath(u)
	notes = append(notes, said...)
	if mistake := checkPath(path, kindOf(u.Hostname())); mistake != nil {
		return BaseURL{}, nil, mistake
	}
	return BaseURL{"https://" + authority + path}, notes, nil
}

// splitURL refuses what the later steps do not handle.
func splitURL(text string) (u *url.URL, notes []string, mistake *problem.Field) {
	if text == "" {
		return nil, nil, urlMistake("url_syntax", "The FHIR server URL is empty.", exampleFix)
	}
	if mistake := checkResourceID(text); mistake != nil {
		return nil, nil, mistake
	}
	if len(text) > maxURL {
		return nil, nil, urlMistake("url_syntax", "The FHIR server URL is longer than "+strconv.Itoa(maxURL)+" characters.", exampleFix)
	}
	if several.MatchString(text) {
		return nil, nil, urlMistake("url_syntax", "The FHIR server URL holds more than one URL.", "Give the base URL of one FHIR server.")
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}", c) >= 0 {
			return nil, nil, urlMistake("url_syntax", "The FHIR server URL has a character that no URL may have (space, control character, letter outside ASCII, or one of \\ \" < > ^ ` { | }).",
				"Copy the URL again. Write an international domain name in its ASCII form (xn--…).")
		}
	}
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case found && strings.EqualFold(scheme, "http"):
		return nil, nil, urlMistake("url_not_https", "The FHIR server URL begins with http://, which is not encrypted. Tokens and health data are sent over https:// only.",
			"Write https:// instead of http://. If the server does not answer there, have a certificate installed on it first.")
	case !found || !strings.EqualFold(scheme, "https"):
		return nil, nil, urlMistake("url_not_https", "The FHIR server URL does not begin with https://.", "Put https:// in front of the host name, e.g. "+exampleURL+".")
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Opaque != "" {
		return nil, nil, urlMistake("url_syntax", "The FHIR server URL is not a URL.", exampleFix)
	}
	u.Host = strings.TrimSuffix(u.Host, ":")
	if host := u.Hostname(); len(host) > 1 && strings.HasSuffix(host, ".") {
		u.Host = strings.Replace(u.Host, host, strings.TrimSuffix(host, "."), 1)
		notes = append(notes, "removed the dot at the end of the host of the FHIR server URL")
	}
	return u, notes, checkPasted(u, strings.Contains(rest, "#"))
}

// several is two URLs, one behind the other.
var several = paste.MustCompile(`(?i)^[^?#]*[,;|\s]+https?://`)

const (
	exampleURL = "https://workspace-service.fhir.azurehealthcareapis.com"
	exampleFix = "Copy \"FHIR metadata endpoint\" from the Overview page of the FHIR service in the Azure portal. It looks like " + exampleURL + "/metadata."
)

// checkPasted refuses addresses of things other than FHIR servers, which no trimming makes right.
func checkPasted(u *url.URL, fragment bool) *problem.Field {
	switch product := kindOf(u.Hostname()).Product; {
	case product == webPage:
		return urlMistake("url_portal", "This is the address of a page in the Azure portal, not of a FHIR server.", exampleFix)
	case product == dicomService:
		return urlMistake("url_dicom", "This is the address of a DICOM service, not of a FHIR service.",
			"Open the FHIR service of the same workspace and copy its \"FHIR metadata endpoint\"; its host name has .fhir. where this one has .dicom.")
	case u.User != nil:
		return urlMistake("url_syntax", "The FHIR server URL has a user name or password in front of the host.", "Remove everything between https:// and @, and the @ itself.")
	case fragment:
		return urlMistake("url_syntax", "The FHIR server URL has a fragment (#…).", "Remove # and everything behind it.")
	}
	return nil
}

// parseAuthority returns host and port in canonical form.
func parseAuthority(u *url.URL, anyTarget bool) (authority string, notes []string, mistake *problem.Field) {
	host := strings.ToLower(u.Hostname())
	if host != u.Hostname() {
		notes = append(notes, "wrote the host of the FHIR server URL in lower case")
	}
	port, mistake := parsePort(u.Port(), anyTarget)
	if mistake != nil {
		return "", nil, mistake
	}
	if port == "" && u.Port() != "" {
		notes = append(notes, "removed :443 from the FHIR server URL")
	}
	if a, err := netip.ParseAddr(host); err == nil && anyTarget && a.Zone() == "" {
		return bracketed(a) + port, notes, nil
	}
	if mistake := checkName(host, anyTarget); mistake != nil {
		return "", nil, mistake
	}
	return host + port, notes, nil
}

func bracketed(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return "[" + a.String() + "]"
}

// checkName accepts DNS names of letters, digits and hyphens (RFC 1123 §2.1) with at least two
// labels. With anyTarget, one label is enough.
func checkName(host string, anyTarget bool) *problem.Field {
	labels := strings.Split(host, ".")
	switch {
	case host == "":
		return urlMistake("url_syntax", "The FHIR server URL names no host.", exampleFix)
	case egress.LooksLikeAddress(host):
		return urlMistake("url_syntax", "The FHIR server URL names its server by an IP address.", "Use the DNS name of the FHIR server, e.g. "+exampleURL+".")
	case strings.HasSuffix(host, "."):
		return urlMistake("url_syntax", "The host of the FHIR server URL ends in a dot.", "Remove the dot at the end of the host name.")
	case !egress.IsName(host):
		return urlMistake("url_syntax", "The host of the FHIR server URL is not a DNS name: it may have letters, digits, hyphens and single dots only.", exampleFix)
	case len(labels) < 2 && !anyTarget:
		return urlMistake("url_syntax", "The host of the FHIR server URL has no domain.", "Use the full DNS name, e.g. "+exampleURL+".")
	}
	return nil
}

// parsePort returns ":port", or "" for the default port.
func parsePort(port string, anyTarget bool) (suffix string, mistake *problem.Field) {
	if port == "" || port == "443" {
		return "", nil
	}
	if !anyTarget {
		return "", urlMistake("url_syntax", "The FHIR server URL names port "+port+"; only 443 is allowed.", "Remove :"+port+", or publish the FHIR server on port 443.")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0:
		return "", urlMistake("url_syntax", "The FHIR server URL names a port that does not exist.", "Use a port from 1 to 65535.")
	case n == 443:
		return "", nil
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

const pathCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@"

func checkPath(path string, kind Kind) *problem.Field {
	if path == "" {
		return nil
	}
	if kind.Microsoft() {
		return urlMistake("url_has_path", "The FHIR server URL has a path behind the host name; this service has none.", "Remove everything behind the host name.")
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." || strings.Trim(segment, pathCharacters) != "" {
			return urlMistake("url_syntax", "The path of the FHIR server URL has a part that consists of dots (/./ or /../), or a character that is not allowed there.", "Copy the URL of the FHIR server again, up to /metadata.")
		}
	}
	return nil
}

func urlMistake(code, message, fix string) *problem.Field {
	return &problem.Field{Field: baseURLField, Code: code, Message: message, Fix: fix}
}
