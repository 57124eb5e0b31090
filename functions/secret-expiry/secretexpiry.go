package secretexpiry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/shared/azfunc"
	"fhirlink/shared/expiry"
)

// binding is the trigger's name in function.json.
const binding = "timer"

// maxRun bounds a run.
const maxRun = 50 * time.Second

// Handler serves the trigger.
type Handler struct {
	Sweep func(context.Context) (expiry.Result, error) // as expiry.Sweep.Run
	Log   *slog.Logger
}

// Run answers POST /secret-expiry.
func (h Handler) Run(w http.ResponseWriter, r *http.Request) error {
	timer, err := azfunc.DecodeTimer(r.Body, binding)
	if err != nil { // the sweep needs nothing of it, and skipping a run helps nobody
		h.Log.WarnContext(r.Context(), "secret-expiry: unreadable invocation", "error", err)
	}
	if timer.PastDue {
		h.Log.InfoContext(r.Context(), "secret-expiry: this run is late, the host was not running")
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxRun)
	defer cancel()
	result, err := h.sweep(ctx)
	lines := []string{result.String()}
	if err != nil {
		h.Log.ErrorContext(r.Context(), "secret-expiry: the run did not finish", "error", err)
		lines = append(lines, "secret-expiry: the run did not finish; what is left is handled by the next one. The log has the cause.")
	}
	return azfunc.Response{Logs: lines}.Write(w)
}

// sweep turns a panic into an error, so that the host gets its answer.
func (h Handler) sweep(ctx context.Context) (result expiry.Result, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic of type %T", value)
		}
	}()
	return h.Sweep(ctx)
}
