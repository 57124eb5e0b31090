package httpx

import (
	"cmp"
	"net/http"
	"slices"
)

// Headers that web front ends may send and read, in addition to those that the Fetch standard
// always allows.
const (
	corsAllowed = "Authorization, Content-Type, If-Match"
	corsExposed = "ETag, Location, Retry-After, WWW-Authenticate, X-Correlation-Id"
	corsMaxAge  = "600" // seconds that a browser caches a preflight
)

// CORS tells browsers which web pages may read the answers (Fetch standard §3.2). Callers send a bearer
// token and never cookies, so credentials are not allowed.
type CORS struct {
	Origins []string // scheme://host[:port], compared exactly; none when empty
	Any     bool     // every page may, whatever Origins says
	Headers string   // that pages may send, separated by commas; empty: those that most routes need
}

// SetHeaders adds the headers for a request. methods is the comma-separated list of the route's
// methods. Vary is added unless the answer is the same for all: a cache must not give one origin's answer
// to another.
func (c CORS) SetHeaders(w http.ResponseWriter, r *http.Request, methods string) {
	h := w.Header()
	if c.Any {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Add("Vary", "Origin")
		origins := r.Header["Origin"]
		if len(origins) != 1 || !slices.Contains(c.Origins, origins[0]) {
			return
		}
		h.Set("Access-Control-Allow-Origin", origins[0])
	}
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", cmp.Or(c.Headers, corsAllowed))
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return
	}
	h.Set("Access-Control-Expose-Headers", corsExposed)
}
