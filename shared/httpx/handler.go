package httpx

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// HandlerFunc answers a request, or returns an error without having answered.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// ErrorWriter answers with an error.
type ErrorWriter func(http.ResponseWriter, *http.Request, error)

// Handle makes an http.Handler of h: its error is written by fail, and so is a panic, whose
// stack goes to the log. A panic does not go further: under Lambda it would end the process.
func Handle(log *slog.Logger, h HandlerFunc, fail ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer recovered(log, w, r, fail)
		if err := h(w, r); err != nil {
			fail(w, r, err)
		}
	})
}

// recovered is to be deferred directly. The value of the panic is not logged, its type is:
// nobody knows what a value holds.
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
