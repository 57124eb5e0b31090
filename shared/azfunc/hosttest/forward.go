package hosttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// forward simulates enableForwardingHttpRequest, DefaultHttpWorkerService's
// ProcessHttpInAndOutInvocationRequest: the host builds a new request for its HttpClient, reads
// the whole answer, and writes it. A client that goes away does not end it.
func (h *Host) forward(w http.ResponseWriter, in incoming, to *worker, invocation string) error {
	if in.ContentLength < 0 {
		return errors.New("the body is in chunks: the host fails before it calls the handler")
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(in.Context()), h.root.Host.FunctionTimeout, errFunctionTimeout)
	defer cancel()
	answer, err := to.deliver(ctx, forwarded(in, invocation))
	if err != nil {
		return because(ctx, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return because(ctx, err)
	}
	copyAnswer(w, answer, rewrite)
	_, _ = w.Write(body) // the client is gone
	return nil
}

// because returns why ctx ended, else err.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// copyAnswer writes the head of an answer.
func copyAnswer(w http.ResponseWriter, answer *http.Response, rewrite func(name string, values []string) []string) {
	for name, values := range answer.Header {
		if !slices.Contains(hopByHop, name) {
			w.Header()[name] = rewrite(name, values)
		}
	}
	w.WriteHeader(answer.StatusCode)
}

// rewrite returns the values of a header that HttpClient has parsed.
func rewrite(name string, values []string) []string {
	switch name {
	case "Allow", "Vary":
		var one []string
		for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
			one = append(one, strings.TrimSpace(part))
		}
		return one
	case "Location":
		return []string{location(values[0])}
	}
	return values
}

// hopByHop lists the headers that end at each connection (RFC 9110 §7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// contentHeaders lists the headers that .NET keeps with a body. HttpRequestMessage.Headers
// refuses them, so only those arrive that the host copies explicitly: type and length.
var contentHeaders = []string{
	"Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Location", "Content-Md5", "Content-Range", "Content-Type", "Expires", "Last-Modified",
}

func forwarded(in incoming, invocation string) *delivery {
	d := &delivery{method: in.Method, target: targetOf(in), host: in.Host, header: joined(in.Header)}
	for _, name := range contentHeaders {
		delete(d.header, name)
	}
	if in.ContentLength > 0 {
		d.body, d.length, d.hasContent = in.Body, in.ContentLength, true
		if values := in.Header["Content-Type"]; values != nil {
			d.header["Content-Type"] = values
		}
	}
	if disguised := in.Header.Get("DISGUISED-HOST"); strings.ContainsAny(disguised, "/?#") {
		d.header["Host"] = []string{disguised} // no host name: HttpClient writes a second line
	}
	appendHeader(d.header, hostVersionHeader, ", ", Version)
	appendHeader(d.header, invocationIDHeader, ", ", invocation)
	appendHeader(d.header, "User-Agent", " ", userAgent)
	return d
}

// targetOf simulates GetRequestUri, new Uri(request.GetDisplayUrl()), with the query rebuilt from
// its pairs. The display URL has scheme, host and path as they are, unescaped. So an escaped ? or #
// ends the path, a backslash becomes a slash, and a path can leave the route that matched it.
func targetOf(in incoming) string {
	display := in.scheme + "://" + in.Host + in.path
	if in.query != "" {
		display += "?" + in.query
	}
	u, _ := parseURI(display)
	if query := rebuildQuery(in.query); query != "" {
		return u.path + "?" + query
	}
	return u.path
}

// joined returns the headers as .NET writes them, the values of each in one line.
func joined(h http.Header) http.Header {
	one := http.Header{}
	for name, values := range h {
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		one[name] = []string{strings.Join(values, separator)}
	}
	return one
}

// appendHeader adds a value to what the client sent.
func appendHeader(h http.Header, name, separator, value string) {
	h.Set(name, strings.Join(append(h.Values(name), value), separator))
}
