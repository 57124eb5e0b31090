package expiry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
)

// begin starts the run's unit of work in the log, with new ids if the host gave none.
func begin(ctx context.Context) (context.Context, *eventlog.Work) {
	id := problem.Correlation(ctx)
	if id == "" {
		id = problem.NewCorrelation()
		ctx = problem.WithCorrelation(ctx, id)
	}
	ctx, work := eventlog.Start(ctx)
	if work.Trace.ID == "" {
		work.Trace = eventlog.NewTrace(id)
	}
	return ctx, work
}

// logRun logs the one line about a run, with the cause of a failure. The alert on the heartbeat
// reads succeededAt.
func (s Sweep) logRun(ctx context.Context, r Result, err error, took time.Duration, work *eventlog.Work) {
	if r.Skipped != "" {
		s.Log.InfoContext(ctx, "sweep.skipped", "because", r.Skipped)
		return
	}
	attrs := []slog.Attr{
		slog.Int("due", r.Due), slog.Int("done", r.Done), slog.Int("failed", r.Failed), slog.Int("left", r.Left), slog.Int("notices", r.Notices), slog.Int("trimmed", r.Trimmed), slog.Int("ended", r.Ended),
		slog.Bool("complete", r.complete(err)), slog.Float64("ms", eventlog.Milliseconds(took)),
	}
	if !r.SucceededAt.IsZero() {
		attrs = append(attrs, slog.Time("succeededAt", r.SucceededAt))
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("cause", err.Error()))
	}
	if err != nil && !errors.Is(err, context.Canceled) { // the context is canceled when the program ends
		level = slog.LevelError
	}
	work.Write(ctx, s.Log, level, "sweep.done", attrs...)
}

// report logs a finding; the expiry of a secret is a warning.
func (s Sweep) report(ctx context.Context, f link.Finding) {
	level := slog.LevelInfo
	if f.Notice && f.State != link.SecretOK {
		level = slog.LevelWarn
	}
	attrs := []any{"link", f.Slug, "organization", f.Organization, "did", strings.Join(f.Did, "; "), "notice", f.Notice}
	if f.App != "" {
		attrs = append(attrs, "app", f.App)
	}
	if f.Status != "" {
		attrs = append(attrs, "status", f.Status, "secretState", f.State)
	}
	if f.Code != "" {
		attrs = append(attrs, "code", f.Code)
	}
	if !f.ExpiresOn.IsZero() {
		attrs = append(attrs, "expiresOn", f.ExpiresOn)
	}
	if f.DaysLeft != nil {
		attrs = append(attrs, "daysLeft", *f.DaysLeft)
	}
	s.Log.Log(ctx, level, "sweep.finding", attrs...)
}
