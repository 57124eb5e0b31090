package hosttest

import (
	"net/http"
	"strings"
)

// frontEnd changes a request as App Service does before it reaches the host. Clients always
// appear to use TLS, and X-Forwarded-For includes the port.
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
