package eventlog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Work is a request, a timer run, or a background renewal, which the log describes in one line.
// Other packages note on it what the line should also say: the outcome, and the services called.
// It is safe for concurrent use. A nil *Work discards all notes.
type Work struct {
	Trace      Trace
	Invocation string // the host's id, of Azure Functions or Lambda; empty: none

	mu      sync.Mutex
	outcome string
	finding string
	warning bool
	calls   tally
	late    func(tally) // receives calls that end after the line is written; nil before
}

type workKey struct{}

// With returns a context that carries w. Log lines written with it belong to w.
func With(ctx context.Context, w *Work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

// Current returns the work that ctx carries, or nil.
func Current(ctx context.Context) *Work {
	w, _ := ctx.Value(workKey{}).(*Work)
	return w
}

// Start starts work in the trace of the current work, with its own line and calls.
func Start(ctx context.Context) (context.Context, *Work) {
	w := &Work{}
	if current := Current(ctx); current != nil {
		w.Trace, w.Invocation = current.Trace, current.Invocation
	}
	return With(ctx, w), w
}

// End notes the outcome of the work: a code, such as a problem's. The last one counts.
func (w *Work) End(code string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcome = code
}

// Find notes the code of a finding about a link, from a verification or from Entra. warning means
// that the link works all the same.
func (w *Work) Find(code string, warning bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finding, w.warning = code, warning
}

// Called notes a call to a service, e.g. "vault", its duration, and whether it failed.
func (w *Work) Called(service string, took time.Duration, failed bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	late := w.late
	if late == nil {
		w.calls = w.calls.add(service, took, failed)
	}
	w.mu.Unlock()
	if late != nil {
		late(tally{}.add(service, took, failed))
	}
}

// Outcome returns the noted outcome, or otherwise if there is none.
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

// Notes returns the notes except the outcome as attributes: "finding", with "warning" if it is one,
// and by service "calls", "failedCalls" and "callMs", the total duration of the calls in milliseconds. Attributes without
// a value are left out.
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
	notes := append(w.calls.attrs(), slog.String("finding", w.finding))
	if w.warning {
		notes = append(notes, slog.Bool("warning", true))
	}
	return notes
}

// Write writes the work's line, with its notes. A call that ends later, because nothing waited
// for it, gets its own line, "call.late". So every call appears in exactly one line.
func (w *Work) Write(ctx context.Context, log *slog.Logger, level slog.Level, msg string, attrs ...slog.Attr) {
	if w != nil {
		w.mu.Lock()
		w.late = func(t tally) { log.LogAttrs(ctx, slog.LevelInfo, "call.late", t.attrs()...) }
		attrs = append(attrs, w.notes()...)
		w.mu.Unlock()
	}
	Log(ctx, log, level, msg, attrs...)
}

// tally counts calls by service.
type tally []calls

// calls counts the calls to one service.
type calls struct {
	service   string
	n, failed int
	took      time.Duration
}

func (t tally) add(service string, took time.Duration, failed bool) tally {
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

// group returns a group attribute, which slog's handlers omit if it is empty.
func group(name string, attrs []slog.Attr) slog.Attr {
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}

// Milliseconds converts d to the log's unit, with at most three decimals.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
