package eventlog

import (
	"context"
	"io"
	"log/slog"

	"fhirlink/shared/problem"
)

// New returns a logger that writes one JSON object per line to out. A line has these attributes if
// the context carries them: "correlation" (the request's id, as in a problem's instance), "trace"
// and "parent" (W3C Trace Context), "invocation" (the host's id).
func New(out io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(handler{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})})
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id := problem.Correlation(ctx); id != "" {
		record.AddAttrs(slog.String("correlation", id))
	}
	if w := Current(ctx); w != nil {
		record.AddAttrs(w.ids()...)
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// ids returns the attributes that identify a piece of work.
func (w *Work) ids() []slog.Attr {
	ids := make([]slog.Attr, 0, 3)
	for _, id := range []struct{ name, value string }{{"trace", w.Trace.ID}, {"parent", w.Trace.Parent}, {"invocation", w.Invocation}} {
		if id.value != "" {
			ids = append(ids, slog.String(id.name, id.value))
		}
	}
	return ids
}
