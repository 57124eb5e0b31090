package redirect

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fhirlink/shared/egress"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
)

// maxURI is the length limit of a redirect URI, in bytes.
const maxURI = 512

// syntax is a scheme, an authority with its //, a path, and a query with its ?.
var syntax = paste.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):(//[^/?#]*)?([^?#]*)(\?[^#]*)?$`)

// dangerous are schemes that run or show what the URI itself holds, or that open other programs.
var dangerous = map[string]bool{"javascript": true, "data": true, "file": true, "blob": true, "vbscript": true, "about": true, "intent": true, "view-source": true, "filesystem": true, "jar": true}

// Check checks an address that users are sent back to. It must be absolute and in normal form,
// because it is compared byte for byte, and because hosts between here and the browser rewrite others
// (RFC 3986 §6.2.2, RFC 6749 §3.1.2, RFC 8252 §7). It may be https, http for this machine, or a
// private-use scheme for a public app. A mistake names the right form where there is one.
func Check(raw string, public bool) *problem.Field {
	if len(raw) > maxURI {
		return wrong("Register a shorter address.", "%.80q… is longer than %d characters.", raw, maxURI)
	}
	if i := strings.IndexFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", c) }); i >= 0 {
		return wrong("Percent-encode it; write an international domain name in its ASCII form (xn--…).", "%q has a character that must be escaped (%.8q).", raw, raw[i:])
	}
	if strings.Contains(raw, "#") {
		return wrong("Remove # and everything behind it.", "%q has a fragment (#…).", raw)
	}
	if strings.Contains(raw, "*") {
		return wrong("Register each address.", "%q has a *, and there are no wildcards.", raw)
	}
	m := syntax.FindStringSubmatch(raw)
	if m == nil {
		return wrong("Write it with its scheme, such as https://app.example/callback.", "%q is no absolute address.", raw)
	}
	scheme, path := strings.ToLower(m[1]), m[3]
	authority, mistake := authorityOf(raw, scheme, m[2], public)
	if mistake != nil {
		return mistake
	}
	path, ok := normalPath(path)
	query, ok2 := unescapedPlain(m[4])
	if !ok || !ok2 {
		return wrong("Write it as %25.", "%q has a %% that is no escape.", raw)
	}
	if strings.ContainsAny(path+query, "[]") {
		return wrong("Write [ as %5B and ] as %5D.", "%q has a bracket behind the host.", raw)
	}
	if normal := scheme + ":" + authority + path + query; normal != raw {
		return wrong("Register and send it as "+normal+".", "%q is not in normal form.", raw)
	}
	return nil
}

// authorityOf checks scheme and authority, and returns the authority in normal form, with its //.
func authorityOf(raw, scheme, authority string, public bool) (string, *problem.Field) {
	if scheme != "https" && scheme != "http" {
		return strings.ToLower(authority), privateScheme(raw, scheme, authority, public)
	}
	host, port, ok := splitHostPort(strings.ToLower(strings.TrimPrefix(authority, "//")))
	address, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	named := egress.IsName(host) && !egress.LooksLikeAddress(host)
	switch {
	case strings.Contains(authority, "@"):
		return "", wrong("Remove everything between // and @, and the @ itself.", "%q has a user name in front of the host.", raw)
	case !ok || !named && (!address.IsValid() || address.Zone() != "" || address.Is6() != strings.HasPrefix(host, "[")):
		return "", wrong("Write it as https://app.example/callback.", "%q names no host, or one that is no DNS name and no address.", raw)
	case scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "[::1]":
		return "", wrong("Use https. Only 127.0.0.1, [::1] and localhost may be http.", "%q begins with http://, and is not on the user's own machine.", raw)
	case scheme == "https" && port == "443", scheme == "http" && port == "80":
		port = ""
	}
	if address.IsValid() {
		host = address.String()
		if address.Is6() {
			host = "[" + host + "]"
		}
	}
	if port != "" {
		port = ":" + port
	}
	return "//" + host + port, nil
}

// splitHostPort cuts off the port, which must be a number from 1 to 65535 without leading zeros.
func splitHostPort(authority string) (host, port string, ok bool) {
	host = strings.TrimSuffix(authority, ":")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' {
			return "", "", false
		}
	}
	return host, port, host != "" && !strings.HasSuffix(host, ".")
}

// privateScheme checks a scheme that an app has claimed on the user's device: it is named after a domain
// of the app's maker, in reverse (RFC 8252 §7.1).
func privateScheme(raw, scheme, authority string, public bool) *problem.Field {
	switch {
	case dangerous[scheme]:
		return wrong("Use https.", "%q begins with %s:, which no app can be reached at.", raw, scheme)
	case !strings.Contains(scheme, ".") || strings.HasPrefix(scheme, ".") || strings.HasSuffix(scheme, ".") || strings.Contains(scheme, ".."):
		return wrong("Use https, or a scheme such as com.example.app.", "The scheme of %q is no domain name in reverse.", raw)
	case !public:
		return wrong("Use https, or register a public app.", "%q has a scheme of its own, which only public apps may have: another app on the device can claim it.", raw)
	case strings.ContainsAny(authority, "@:[]"):
		return wrong("Write it as com.example.app:/callback.", "%q has more than a name behind //.", raw)
	}
	return nil
}

// normalPath returns a path with at least /, without dot segments and without escapes of characters that
// need none. ok is false for a % that is no escape.
func normalPath(path string) (normal string, ok bool) {
	if path, ok = unescapedPlain(path); !ok {
		return "", false
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	segments := strings.Split(path[1:], "/")
	kept := make([]string, 0, len(segments))
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/"), true
}

// unescapedPlain replaces the escapes of letters, digits and - . _ ~ by these characters.
func unescapedPlain(text string) (plain string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if len(text) < i+3 {
			return "", false
		}
		n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		if c := byte(n); c < 0x80 && (c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			b.WriteByte(c)
		} else {
			b.WriteString(text[i : i+3])
		}
		i += 2
	}
	return b.String(), true
}

func wrong(fix, format string, args ...any) *problem.Field {
	return &problem.Field{Field: "redirectUris", Code: "redirect_uri", Message: fmt.Sprintf(format, args...), Fix: fix}
}

// Match reports whether an app that registered these addresses may be answered at asked. They are
// compared byte for byte; of the loopback addresses the port may be any (RFC 8252 §7.3).
func Match(registered []string, asked string) bool {
	for _, one := range registered {
		if one == asked {
			return true
		}
		if plain, ok := withoutPort(one); ok {
			if other, ok := withoutPort(asked); ok && other == plain {
				return true
			}
		}
	}
	return false
}

// loopback matches an address on the user's own machine: its host, its port, and what is behind them.
var loopback = paste.MustCompile(`(?s)^http://(127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?([/?#].*)$`)

// withoutPort returns a loopback address without its scheme and its port. The port is cut out of the text as
// it stands: a parser overlooks what no browser would, such as brackets around an IPv4 address.
func withoutPort(uri string) (string, bool) {
	m := loopback.FindStringSubmatch(uri)
	if m == nil {
		return "", false
	}
	if _, err := strconv.ParseUint(m[2], 10, 16); m[2] != "" && err != nil {
		return "", false
	}
	return m[1] + m[3], true
}

// WithQuery adds parameters to an address, whose own query stays as it is. Empty ones are left out.
func WithQuery(uri string, parameters [][2]string) string {
	var b strings.Builder
	b.WriteString(uri)
	separator := "?"
	if _, query, ok := strings.Cut(uri, "?"); ok {
		if separator = "&"; query == "" {
			separator = ""
		}
	}
	for _, p := range parameters {
		if p[1] != "" {
			b.WriteString(separator + p[0] + "=" + strings.ReplaceAll(url.QueryEscape(p[1]), "+", "%20"))
			separator = "&"
		}
	}
	return b.String()
}
