package httpx

import (
	"net/http"
	"strings"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/problem"
)

// Correlate gives every request an id of its own, never one that the client chose, and begins
// the work that the log tells of: under the Functions host's invocation id, and in the trace
// that the client or the host says it belongs to.
func Correlate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := problem.NewCorrelation()
		ctx, work := eventlog.Start(problem.WithCorrelation(r.Context(), id))
		if work.Invocation == "" { // else the program knows it from the host itself
			work.Invocation = invocation(r.Header)
		}
		work.Trace = trace(r.Header, work.Trace, id)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// trace is what traceparent says (good for the log only, as the invocation's id is), or what
// the program knows of its host, or a new one.
func trace(h http.Header, known eventlog.Trace, correlation string) eventlog.Trace {
	if values := h["Traceparent"]; len(values) == 1 { // W3C Trace Context §3.2: more than one is none
		if t, ok := eventlog.ParseTraceparent(values[0]); ok {
			return t
		}
	}
	if known.ID != "" {
		return known
	}
	return eventlog.NewTrace(correlation)
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
