package httpx

import (
	"net/http"
	"strings"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/problem"
)

// Correlate gives every request an id of its own, never one that the client chose, and
// notes the Functions host's invocation id for the log.
func Correlate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := problem.WithCorrelation(r.Context(), problem.NewCorrelation())
		if id := invocation(r.Header); id != "" {
			ctx = eventlog.WithInvocation(ctx, id)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// invocation is the last X-Azure-Functions-InvocationId: a host that forwards appends its
// own to what the client sent. It is good for the log only, and only if it looks like an id.
func invocation(h http.Header) string {
	values := h["X-Azure-Functions-Invocationid"] // as net/http writes the name
	if len(values) == 0 {
		return ""
	}
	id := values[len(values)-1]
	id = strings.TrimSpace(id[strings.LastIndexByte(id, ',')+1:])
	if len(id) > 64 || strings.ContainsFunc(id, notID) {
		return ""
	}
	return id
}

func notID(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
