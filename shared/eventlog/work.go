package eventlog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Work is a request, a run of the timer, or a renewal in the background: what the log tells of
// in one line. Those who take part note on it what the line is to say besides: how it ended,
// and which services were called for it. It may be used by several goroutines; a nil *Work
// takes every note and keeps none.
type Work struct {
	Trace      Trace
	Invocation string // the id that the host gave it: Azure Functions' or Lambda's; empty: none

	mu      sync.Mutex
	outcome string
	finding string
	calls   tally
	late    func(tally) // what becomes of calls once the line is written; nil before
}

type workKey struct{}

// With returns a context in which lines are about w, and which carries w to those who take
// part.
func With(ctx context.Context, w *Work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

// Current is the work that ctx is about; nil for none.
func Current(ctx context.Context) *Work {
	w, _ := ctx.Value(workKey{}).(*Work)
	return w
}

// Start starts work within the trace of the current one, with a line and calls of its own.
func Start(ctx context.Context) (context.Context, *Work) {
	w := &Work{}
	if current := Current(ctx); current != nil {
		w.Trace, w.Invocation = current.Trace, current.Invocation
	}
	return With(ctx, w), w
}

// End notes the code that the work ended with, such as a problem's; the last one counts.
func (w *Work) End(code string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcome = code
}

// Find notes the code of what a verification, or Entra, has against a link.
func (w *Work) Find(code string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finding = code
}

// Called notes a call to a service, e.g. "vault", and whether it failed.
func (w *Work) Called(service string, took time.Duration, failed bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	late := w.late
	if late == nil {
		w.calls = w.calls.plus(service, took, failed)
	}
	w.mu.Unlock()
	if late != nil {
		late(tally{}.plus(service, took, failed))
	}
}

// Outcome is the code that was noted, else otherwise.
func (w *Work) Outcome(otherwise string) string {
	if w == nil {
		return otherwise
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.outcome == "" {
		return otherwise
	}
	return w.outcome
}

// Notes are the attributes of what was noted besides the outcome: "finding", and by service
// "calls", "failedCalls" and "callMs", the milliseconds that its calls took together. What did
// not happen is left out.
func (w *Work) Notes() []slog.Attr {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notes()
}

func (w *Work) notes() []slog.Attr {
	if w.finding == "" {
		return w.calls.attrs()
	}
	return append(w.calls.attrs(), slog.String("finding", w.finding))
}

// Write writes the line about the work, with what was noted. A call that ends afterwards, because
// nobody waited for it, has a line of its own, "call.late": so no call is in two lines, and
// every one is in one.
func (w *Work) Write(ctx context.Context, log *slog.Logger, level slog.Level, msg string, attrs ...slog.Attr) {
	if w != nil {
		w.mu.Lock()
		w.late = func(t tally) { log.LogAttrs(ctx, slog.LevelInfo, "call.late", t.attrs()...) }
		attrs = append(attrs, w.notes()...)
		w.mu.Unlock()
	}
	log.LogAttrs(ctx, level, msg, attrs...)
}

// tally counts calls by service.
type tally []calls

// calls are those to one service.
type calls struct {
	service   string
	n, failed int
	took      time.Duration
}

func (t tally) plus(service string, took time.Duration, failed bool) tally {
	i := slices.IndexFunc(t, func(c calls) bool { return c.service == service })
	if i < 0 {
		i, t = len(t), append(t, calls{service: service})
	}
	t[i].n++
	t[i].took += took
	if failed {
		t[i].failed++
	}
	return t
}

func (t tally) attrs() []slog.Attr {
	if len(t) == 0 {
		return nil
	}
	var n, failed, took []slog.Attr
	for _, c := range t {
		n = append(n, slog.Int(c.service, c.n))
		took = append(took, slog.Float64(c.service, Milliseconds(c.took)))
		if c.failed > 0 {
			failed = append(failed, slog.Int(c.service, c.failed))
		}
	}
	return []slog.Attr{group("calls", n), group("failedCalls", failed), group("callMs", took)}
}

// group is left out of the line when it is empty, as slog's handlers do.
func group(name string, attrs []slog.Attr) slog.Attr {
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}

// Milliseconds is d as the log has durations: with three decimals at most.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
