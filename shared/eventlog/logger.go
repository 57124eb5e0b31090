package eventlog

import (
	"context"
	"io"
	"log/slog"

	"fhirlink/shared/problem"
)

// New is a logger that writes one JSON object a line to out, with the attributes
// "correlation" (the request's id, as in a problem's instance) and "invocation" (the
// Functions host's) wherever the context carries them.
func New(out io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(handler{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})})
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id := problem.Correlation(ctx); id != "" {
		record.AddAttrs(slog.String("correlation", id))
	}
	if id, ok := ctx.Value(invocationKey{}).(string); ok {
		record.AddAttrs(slog.String("invocation", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

type invocationKey struct{}

// WithInvocation returns a context whose log lines carry the host's invocation id.
func WithInvocation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, invocationKey{}, id)
}
