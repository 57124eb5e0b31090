package httpx

import (
	"log/slog"
	"net/http"
	"time"
)

// AccessLog writes one line per request: method, route, status, duration. Neither headers
// nor path nor query are in it, because function keys, secrets and tokens end up in those.
// The route is the pattern that the mux below matched.
func AccessLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer := &recorder{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("method", shorten(r.Method)),
			slog.String("route", r.Pattern),
			slog.Int("status", answer.Status()),
			slog.Float64("ms", float64(time.Since(start).Microseconds())/1000))
	})
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
