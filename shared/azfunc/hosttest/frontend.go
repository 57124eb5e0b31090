package hosttest

import (
	"net/http"
	"strings"
)

// frontEnd is what App Service does to a request before the host sees it. Clients reach it
// over TLS, whatever the test does; what it adds to X-Forwarded-For has a port.
func frontEnd(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	from := r.RemoteAddr
	if before := r.Header.Values("X-Forwarded-For"); len(before) > 0 {
		from = strings.Join(before, ", ") + ", " + from
	}
	r.Header.Set("X-Forwarded-For", from)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-ARR-LOG-ID", newInvocation())
	r.Header.Set("DISGUISED-HOST", r.Host)
	return r
}
