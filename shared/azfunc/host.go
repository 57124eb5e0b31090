package azfunc

import (
	"net"
	"net/http"
	"strconv"
)

// CalledByHost reports whether the Functions host itself made the request, as opposed to
// forwarding one. The path does not show that: a forwarding host unescapes paths, so POST
// /api/links/..%5C..%5Csecret-expiry arrives here as POST /secret-expiry. But a forwarded request
// keeps the client's Host header and the headers that front ends added.
func CalledByHost(r *http.Request) bool {
	for _, name := range addedByFrontEnds {
		if _, ok := r.Header[name]; ok {
			return false
		}
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	port := ":" + strconv.Itoa(local.Port)
	return r.Host == "127.0.0.1"+port || r.Host == "localhost"+port
}

// addedByFrontEnds lists headers, in net/http's spelling, that App Service, a proxy, or the
// Functions host in proxying mode adds to a forwarded request.
var addedByFrontEnds = []string{
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded",
	"X-Original-Url", "X-Arr-Log-Id", "Disguised-Host", "Client-Ip",
}
