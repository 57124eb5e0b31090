package azfunc

import (
	"net"
	"net/http"
	"strconv"
)

// CalledByHost reports whether the Functions host made the request itself, and forwards nobody
// else's. The path does not show it: a host that forwards unescapes paths, and so
// POST /api/links/..%5C..%5Csecret-expiry arrives here as POST /secret-expiry. Such a request
// keeps the client's Host header and what the front ends in between added.
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

// addedByFrontEnds are headers, as net/http writes their names, that App Service, a proxy, or
// the Functions host in its proxying mode adds to a request that it passes on.
var addedByFrontEnds = []string{
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded",
	"X-Original-Url", "X-Arr-Log-Id", "Disguised-Host", "Client-Ip",
}
