package hosttest

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// forward simulates enableForwardingHttpRequest, DefaultHttpWorkerService's
// ProcessHttpInAndOutInvocationRequest: the host builds a new request for its HttpClient, reads
// the whole answer, and writes it.
func forward(w http.ResponseWriter, r *http.Request, to *worker, invocation string) {
	answer, body, err := exchange(to, forwarded(r, to.url, invocation))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError) // the invocation failed
		return
	}
	copyAnswer(w, answer)
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body) // the client is gone
}

// exchange sends a request without following redirects, and reads the whole answer.
func exchange(to *worker, r *http.Request) (*http.Response, []byte, error) {
	answer, err := to.client.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

func copyAnswer(w http.ResponseWriter, answer *http.Response) {
	for name, values := range answer.Header {
		if !slices.Contains(hopByHop, name) {
			w.Header()[name] = values
		}
	}
}

// hopByHop lists the headers that end at each connection (RFC 9110 §7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// contentHeaders lists the headers that .NET keeps with a body. HttpRequestMessage.Headers
// refuses them, so only those arrive that the host copies explicitly: type and length.
var contentHeaders = []string{
	"Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Location", "Content-Md5", "Content-Range", "Content-Type", "Expires", "Last-Modified",
}

func forwarded(r *http.Request, base, invocation string) *http.Request {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	path := absolutePath(r.URL.EscapedPath())
	out.URL = &url.URL{Path: unescape(path), RawPath: path, RawQuery: rebuildQuery(r.URL.RawQuery)}
	setHost(out, base)
	for _, name := range slices.Concat(contentHeaders, hopByHop) {
		out.Header.Del(name)
	}
	if r.ContentLength > 0 {
		copyHeader(out.Header, r.Header, "Content-Type")
	} else {
		out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, 0, nil // a chunked body is lost
	}
	appendHeader(out.Header, hostVersionHeader, ", ", Version)
	appendHeader(out.Header, invocationIDHeader, ", ", invocation)
	appendHeader(out.Header, "User-Agent", " ", userAgent)
	return out
}

// setHost redirects r to the handler, but keeps the client's Host header.
func setHost(r *http.Request, base string) {
	r.URL.Scheme, r.URL.Host, _ = strings.Cut(base, "://")
}

func copyHeader(to, from http.Header, name string) {
	if values := from.Values(name); len(values) > 0 {
		to[http.CanonicalHeaderKey(name)] = values
	}
}

// appendHeader adds a value to those that the client sent. .NET writes the values of one header
// in one line.
func appendHeader(h http.Header, name, separator, value string) {
	h.Set(name, strings.Join(append(h.Values(name), value), separator))
}

// absolutePath simulates new Uri(request.GetDisplayUrl()).AbsolutePath. The path is unescaped,
// except %2F, and parsed again as part of a URL. There an escaped ? or # ends it, and a backslash
// becomes a slash. Letters and dots that were escaped twice are unescaped again, and dot segments
// are resolved. So a path can leave the route that matched it.
func absolutePath(escaped string) string {
	parts := strings.Split(strings.ReplaceAll(escaped, "%2f", "%2F"), "%2F")
	for i, part := range parts {
		parts[i] = unescape(part)
	}
	display := strings.Join(parts, "%2F")
	if i := strings.IndexAny(display, "?#"); i >= 0 {
		display = display[:i]
	}
	display = unreserved.ReplaceAllStringFunc(strings.ReplaceAll(display, `\`, "/"), unescape)
	return escapePath(removeDotSegments(display))
}

// unreserved matches escapes of letters, digits, and - . _ ~ (RFC 3986 §2.3).
var unreserved = regexp.MustCompile(`%(?:4[1-9A-Fa-f]|[57][0-9Aa]|6[1-9A-Fa-f]|3[0-9]|2[DdEe]|5[Ff]|7[Ee])`)

// removeDotSegments resolves . and .. in a path that begins with a slash (RFC 3986 §5.2.4).
func removeDotSegments(p string) string {
	cleaned := (&url.URL{Path: "/"}).ResolveReference(&url.URL{Path: p}).Path
	if cleaned == "" {
		return "/"
	}
	return cleaned
}

var escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// escapePath escapes characters that a path may not contain, and keeps existing escapes.
func escapePath(path string) string {
	var b strings.Builder
	last := 0
	for _, at := range escapes.FindAllStringIndex(path, -1) {
		b.WriteString((&url.URL{Path: path[last:at[0]]}).EscapedPath())
		b.WriteString(path[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString((&url.URL{Path: path[last:]}).EscapedPath())
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
		name, value = unescapeQuery(name), unescapeQuery(value)
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		if i < 0 {
			names = append(names, name)
		} else {
			name = names[i]
		}
		values[name] = append(values[name], value)
	}
	var query strings.Builder
	for i, name := range names {
		if i > 0 {
			query.WriteByte('&')
		}
		query.WriteString(escapeQuery(name) + "=" + escapeQuery(strings.Join(values[name], ",")))
	}
	return query.String()
}

func unescapeQuery(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// escapeQuery escapes like .NET's UrlEncoder: a space becomes %20.
func escapeQuery(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
