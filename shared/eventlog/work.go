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
	calls   []calls
}

// calls are those to one service.
type calls struct {
	service   string
	n, failed int
	took      time.Duration
}

type workKey struct{}

// Begin returns a context in which lines are about w, and which carries w to those who take
// part.
func Begin(ctx context.Context, w *Work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

// Current is the work that ctx is about; nil for none.
func Current(ctx context.Context) *Work {
	w, _ := ctx.Value(workKey{}).(*Work)
	return w
}

// Aside begins work of its own on behalf of the current one, which ends without waiting for
// it: it has the same trace, and a line of its own.
func Aside(ctx context.Context) (context.Context, *Work) {
	w := &Work{}
	if current := Current(ctx); current != nil {
		w.Trace, w.Invocation = current.Trace, current.Invocation
	}
	return Begin(ctx, w), w
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
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.calls, func(c calls) bool { return c.service == service })
	if i < 0 {
		i, w.calls = len(w.calls), append(w.calls, calls{service: service})
	}
	w.calls[i].n++
	w.calls[i].took += took
	if failed {
		w.calls[i].failed++
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
	var notes []slog.Attr
	if w.finding != "" {
		notes = append(notes, slog.String("finding", w.finding))
	}
	if len(w.calls) == 0 {
		return notes
	}
	var n, failed, took []slog.Attr
	for _, c := range w.calls {
		n = append(n, slog.Int(c.service, c.n))
		took = append(took, slog.Float64(c.service, Milliseconds(c.took)))
		if c.failed > 0 {
			failed = append(failed, slog.Int(c.service, c.failed))
		}
	}
	return append(notes, group("calls", n), group("failedCalls", failed), group("callMs", took))
}

// group is left out of the line when it is empty, as slog's handlers do.
func group(name string, attrs []slog.Attr) slog.Attr {
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}

// Milliseconds is d as the log has durations: with three decimals at most.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
