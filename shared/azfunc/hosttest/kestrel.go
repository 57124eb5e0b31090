package hosttest

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of the host's web server, Kestrel, and of the host (ScriptConstants).
const (
	maxRequestLine = 8 << 10
	maxHeaders     = 32 << 10
	maxBody        = 100 << 20
)

// incoming is a request as Kestrel and AppServiceHeaderFixupMiddleware hand it on.
type incoming struct {
	*http.Request
	path   string // decoded except for %2F, without dot segments
	query  string // as the client wrote it
	scheme string
}

// receive reads a request as Kestrel does. status is the answer to a request that Kestrel or the
// host refuses, else 0.
func receive(r *http.Request) (in incoming, status int) {
	target := r.RequestURI
	switch {
	case len(r.Method)+len(target)+len("  HTTP/1.1\r\n") > maxRequestLine:
		return in, http.StatusRequestURITooLong
	case !isASCII(target):
		return in, http.StatusBadRequest
	case headerSize(r.Header)+len("Host: \r\n")+len(r.Host) > maxHeaders:
		return in, http.StatusRequestHeaderFieldsTooLarge
	}
	if _, rest, absolute := strings.Cut(target, "://"); absolute && !strings.HasPrefix(target, "/") {
		target = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		}
	}
	in = incoming{Request: r, scheme: "http"}
	in.path, in.query, _ = strings.Cut(target, "?")
	in.path = removeDotSegments(decode(in.path, '/'))
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		in.scheme = proto
	}
	if strings.ContainsRune(in.path, 0) {
		return in, http.StatusBadRequest
	}
	return in, 0
}

// buffer reads a body of known length, as the host does before it calls the handler. A body in
// chunks is only limited.
func (in incoming) buffer(w http.ResponseWriter) error {
	if in.ContentLength < 0 {
		in.Body = http.MaxBytesReader(w, in.Body, maxBody)
		return nil
	}
	if in.ContentLength > maxBody {
		return &http.MaxBytesError{Limit: maxBody}
	}
	body, err := io.ReadAll(in.Body)
	in.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// headerSize returns the size of headers as they are written.
func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	return size
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func headersAreASCII(h http.Header) bool {
	for _, values := range h {
		for _, value := range values {
			if !isASCII(value) {
				return false
			}
		}
	}
	return true
}

var triples = regexp.MustCompile(`(?:%[0-9A-Fa-f]{2})+`)

// decode replaces percent triples by the characters that they stand for, once. Triples of the
// character kept remain, and so do those that are not UTF-8.
func decode(s string, kept rune) string {
	return triples.ReplaceAllStringFunc(s, func(run string) string {
		plain, _ := hex.DecodeString(strings.ReplaceAll(run, "%", "")) // the expression matches hexadecimal digits only
		var b strings.Builder
		for i := 0; i < len(plain); {
			char, size := utf8.DecodeRune(plain[i:])
			if char == kept || char == utf8.RuneError && size == 1 {
				b.WriteString(run[3*i : 3*(i+size)])
			} else {
				b.WriteRune(char)
			}
			i += size
		}
		return b.String()
	})
}

// removeDotSegments resolves . and .. in a path that begins with a slash (RFC 3986 §5.2.4). Empty
// segments remain.
func removeDotSegments(path string) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	var kept []string
	for i, s := range segments {
		switch {
		case s == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case s != "." && s != "..":
			kept = append(kept, s)
			continue
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}
