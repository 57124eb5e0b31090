package httpx

import (
	"net/http"
	"strings"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/problem"
)

// Correlate gives every request a new correlation id, never one that the client chose, and starts
// the work that the log describes. The work has the Functions host's invocation id, and belongs
// to the trace that the client or the host names.
func Correlate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := problem.NewCorrelation()
		w.Header().Set("X-Correlation-Id", id)
		ctx, work := eventlog.Start(problem.WithCorrelation(r.Context(), id))
		if work.Invocation == "" { // else the host itself gave it to the program
			work.Invocation = invocation(r.Header)
		}
		work.Trace = trace(r.Header, work.Trace, id)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// trace returns the trace in traceparent, else the trace known from the host, else a new one.
// Like the invocation id, traceparent is trusted for the log only.
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

// invocation returns the last X-Azure-Functions-InvocationId: a forwarding host appends its id to
// what the client sent. The id is used for the log only, and only if it looks like an id.
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
