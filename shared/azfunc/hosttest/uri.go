package hosttest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// uri is an address as .NET's System.Uri parses it.
type uri struct {
	scheme, authority, path string
	rest                    string // query and fragment, with ? or #
}

// parseURI splits an absolute address and normalizes it: an escaped letter, digit or one of - . _ ~
// is unescaped, what an address cannot hold is escaped, the host is in lower case and without its
// default port, and the path is not empty. In web addresses a backslash is a slash, and dot
// segments are resolved. White space at the end is gone.
func parseURI(text string) (u uri, ok bool) {
	scheme, after, ok := strings.Cut(strings.TrimRight(text, " \t\r\n"), "://")
	if !ok || !schemeName.MatchString(scheme) {
		return uri{}, false
	}
	u.scheme = strings.ToLower(scheme)
	port, web := defaultPorts[u.scheme]
	ends := "/?#"
	if web {
		ends += `\`
	}
	u.authority, after = cutAny(after, ends)
	u.path, u.rest = cutAny(after, "?#")
	u.path = unreserved.ReplaceAllStringFunc(u.path, unescape)
	if web {
		u.path = removeDotSegments(strings.ReplaceAll(u.path, `\`, "/"))
		u.authority = strings.TrimSuffix(u.authority, port)
	}
	if u.path == "" {
		u.path = "/"
	}
	u.authority, u.path = strings.ToLower(u.authority), escape(u.path, inURI)
	u.rest = escape(unreserved.ReplaceAllStringFunc(u.rest, unescape), inURI)
	return u, true
}

func (u uri) String() string { return u.scheme + "://" + u.authority + u.path + u.rest }

var (
	schemeName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)
	defaultPorts = map[string]string{"http": ":80", "https": ":443"}

	// unreserved matches escapes of letters, digits, and - . _ ~ (RFC 3986 §2.3).
	unreserved = regexp.MustCompile(`%(?:4[1-9A-Fa-f]|[57][0-9Aa]|6[1-9A-Fa-f]|3[0-9]|2[DdEe]|5[Ff]|7[Ee])`)
)

func unescape(triple string) string { return decode(triple, 0) }

// cutAny cuts text before the first of the characters.
func cutAny(text, chars string) (before, from string) {
	if i := strings.IndexAny(text, chars); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// The characters besides letters and digits that remain as they are.
const (
	inURI   = "-._~:/?#[]@!$&'()*+,;=%" // System.Uri
	inPath  = "-._~:/@!$&'()*+,;="      // YARP's RequestUtilities.EncodePath
	inQuery = "-._~@!$()*,;"            // System.Text.Encodings.Web.UrlEncoder
)

// escape escapes the bytes of all characters that are not kept. If % is kept, it is so only at the
// beginning of a percent triple.
func escape(s, kept string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c != '%' && strings.IndexByte(kept, c) >= 0,
			c == '%' && strings.Contains(kept, "%") && triples.FindString(s[i:min(i+3, len(s))]) != "":
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// rebuildQuery rewrites the parsed pairs: names are compared without case, the values of a
// repeated name are joined by commas, and everything is escaped again.
func rebuildQuery(raw string) string {
	var names []string
	values := map[string][]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = decodeQuery(name), decodeQuery(value)
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		if i < 0 {
			names = append(names, name)
		} else {
			name = names[i]
		}
		values[name] = append(values[name], value)
	}
	for i, name := range names {
		names[i] = escape(name, inQuery) + "=" + escape(strings.Join(values[name], ","), inQuery)
	}
	return strings.Join(names, "&")
}

func decodeQuery(text string) string { return decode(strings.ReplaceAll(text, "+", " "), -1) }

// location rewrites the value of the header Location, which HttpClient parses. What is no absolute
// address with an authority is only escaped.
func location(value string) string {
	if u, ok := parseURI(value); ok {
		return u.String()
	}
	return escape(value, inURI)
}
