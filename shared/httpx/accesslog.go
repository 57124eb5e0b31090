package httpx

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"fhirlink/shared/eventlog"
)

// AccessLog writes one line per request, "request": method, route, status, outcome (the code of
// what was refused or failed, else ok), duration, and what was noted on the way: which services
// were called for it, what a verification found. Neither headers nor path nor query are in it,
// because function keys, secrets and tokens end up in those. The route is the pattern that the
// mux below matched, or "none". Correlate comes before it.
func AccessLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer := &recorder{ResponseWriter: w}
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

// route is a pattern as people write it: http.ServeMux has "/" for whatever nothing else matches,
// and "/{$}" for the root alone.
func route(pattern string) string {
	switch pattern {
	case "", "/":
		return "none"
	case "/{$}":
		return "/"
	}
	return pattern
}

// outcomeOf is the outcome of an answer that nobody gave a code to.
func outcomeOf(status int) string {
	if status < 400 {
		return "ok"
	}
	return "http_" + strconv.Itoa(status)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Status is what was answered; net/http makes 200 of no answer at all.
func (w *recorder) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Unwrap serves http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func answered(w http.ResponseWriter) bool {
	r, ok := w.(*recorder)
	return ok && r.status != 0
}
