package httpx

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"fhirlink/shared/eventlog"
)

// AccessLog logs one line per request, "request": method, route, status, outcome, duration, and
// the notes on the work. The outcome is the code of a refusal or failure, else ok. The notes
// include the services called and a verification's finding. Headers, path and query are left out,
// because function keys, secrets and tokens end up there. The route is the pattern that the mux
// inside next matched, or "none". Correlate must wrap AccessLog.
func AccessLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer := record(w)
		next.ServeHTTP(answer, r)
		work := eventlog.Current(r.Context())
		work.Write(r.Context(), log, slog.LevelInfo, "request",
			slog.String("method", shorten(r.Method)),
			slog.String("route", route(r.Pattern)),
			slog.Int("status", answer.Status()),
			slog.String("outcome", work.Outcome(outcomeOf(answer.Status()))),
			slog.Float64("ms", eventlog.Milliseconds(time.Since(start))))
	})
}

// route returns a pattern in readable form. http.ServeMux uses "/" for everything that nothing
// else matches, and "/{$}" for the root alone.
func route(pattern string) string {
	switch pattern {
	case "", "/":
		return "none"
	case "/{$}":
		return "/"
	}
	return pattern
}

// outcomeOf returns the outcome of an answer without a code.
func outcomeOf(status int) string {
	if status < 400 {
		return "ok"
	}
	return "http_" + strconv.Itoa(status)
}
