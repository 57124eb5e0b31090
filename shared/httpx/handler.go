package httpx

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// HandlerFunc answers a request, or returns an error without answering.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// ErrorWriter answers a request with an error.
type ErrorWriter func(http.ResponseWriter, *http.Request, error)

// Handle returns an http.Handler for h. fail answers both an error of h and a panic, whose stack
// is logged. The panic stops here: under Lambda it would end the process.
func Handle(log *slog.Logger, h HandlerFunc, fail ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer recovered(log, w, r, fail)
		if err := h(w, r); err != nil {
			fail(w, r, err)
		}
	})
}

// recovered must be deferred directly. It logs the type of the panic's value but not the value,
// which may hold anything.
func recovered(log *slog.Logger, w http.ResponseWriter, r *http.Request, fail ErrorWriter) {
	value := recover()
	if value == nil {
		return
	}
	log.LogAttrs(r.Context(), slog.LevelError, "panic",
		slog.String("route", r.Pattern),
		slog.String("type", fmt.Sprintf("%T", value)),
		slog.String("stack", string(debug.Stack())))
	if !answered(w) {
		fail(w, r, errPanicked)
	}
}

var errPanicked = fmt.Errorf("panicked; the stack is in the log")
