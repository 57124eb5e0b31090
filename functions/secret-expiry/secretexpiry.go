package secretexpiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"fhirlink/shared/azfunc"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/expiry"
)

// binding is the trigger's name in function.json.
const binding = "timer"

// maxRun is the longest that a run may take.
const maxRun = 50 * time.Second

// Handler serves the trigger.
type Handler struct {
	Sweep func(context.Context) (expiry.Result, error) // as expiry.Sweep.RunUnlessRecent
	Log   *slog.Logger
}

// Run answers POST /secret-expiry.
func (h Handler) Run(w http.ResponseWriter, r *http.Request) error {
	timer, err := azfunc.DecodeTimer(r.Body, binding)
	if err != nil { // the sweep needs nothing from it, so a skipped run would help no one
		h.Log.WarnContext(r.Context(), "timer.unreadable", "cause", err.Error())
	}
	if timer.PastDue {
		h.Log.InfoContext(r.Context(), "timer.late", "because", "the host was not running")
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxRun)
	defer cancel()
	line := "secret-expiry: the run has ended. The log has sweep.done, which says what was done, or sweep.skipped."
	if err := h.sweep(ctx); err != nil {
		eventlog.Current(r.Context()).End("incomplete")
		line = "secret-expiry: the run did not finish; what is left is handled by the next one. The log has the cause."
	}
	return azfunc.Response{Logs: []string{line}}.Write(w)
}

var errPanicked = errors.New("panicked; the stack is in the log")

// sweep turns a panic into an error, so that the host gets its answer. The sweep logs its other
// errors itself.
func (h Handler) sweep(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			h.Log.ErrorContext(ctx, "panic", "route", "/secret-expiry", "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	_, err = h.Sweep(ctx)
	return err
}
