package eventlog_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/eventlog"
)

// line returns what the log says of the notes.
func line(t *testing.T, w *eventlog.Work) string {
	t.Helper()
	var out bytes.Buffer
	eventlog.New(&out, slog.LevelInfo).LogAttrs(t.Context(), slog.LevelInfo, "x", w.Notes()...)
	_, notes, _ := strings.Cut(out.String(), `"msg":"x"`)
	return strings.TrimSuffix(notes, "}\n")
}

func TestWorkNotes(t *testing.T) {
	w := &eventlog.Work{}
	if got := line(t, w); got != "" {
		t.Errorf("nothing was noted: %s", got)
	}
	if got := w.Outcome("ok"); got != "ok" {
		t.Errorf("outcome %q", got)
	}
	w.Called("vault", 1500*time.Microsecond, false)
	w.Called("entra", 200*time.Millisecond, true)
	w.Called("vault", 500*time.Microsecond, false)
	w.End("invalid_grant")
	w.Find("aadsts_7000222", false)
	want := `,"calls":{"vault":2,"entra":1},"failedCalls":{"entra":1},"callMs":{"vault":2,"entra":200},"finding":"aadsts_7000222"`
	if got := line(t, w); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := w.Outcome("ok"); got != "invalid_grant" {
		t.Errorf("outcome %q", got)
	}
	w.Find("write_403", true)
	if got, want := line(t, w), strings.Replace(want, `"aadsts_7000222"`, `"write_403","warning":true`, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	calm := &eventlog.Work{}
	calm.Called("table", time.Millisecond, false)
	if got, want := line(t, calm), `,"calls":{"table":1},"callMs":{"table":1}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A call that ends after the line is written has its own line, so it is in exactly one.
func TestLateCalls(t *testing.T) {
	var out bytes.Buffer
	log := eventlog.New(&out, slog.LevelInfo)
	ctx, w := eventlog.Start(eventlog.With(t.Context(), &eventlog.Work{Trace: eventlog.Trace{ID: "the-trace"}}))
	w.Called("vault", time.Millisecond, false)
	w.Write(ctx, log, slog.LevelWarn, "x", slog.Int("a", 1))
	w.Called("entra", 2*time.Millisecond, true)
	first, rest, _ := strings.Cut(out.String(), "\n")
	if !strings.HasSuffix(first, `"level":"WARN","msg":"x","a":1,"calls":{"vault":1},"callMs":{"vault":1},"trace":"the-trace"}`) {
		t.Error(first)
	}
	if !strings.HasSuffix(rest, `"msg":"call.late","calls":{"entra":1},"failedCalls":{"entra":1},"callMs":{"entra":2},"trace":"the-trace"}`+"\n") {
		t.Error(rest)
	}
	out.Reset()
	eventlog.Current(t.Context()).Write(t.Context(), log, slog.LevelInfo, "nobody's")
	if !strings.Contains(out.String(), `"msg":"nobody's"}`) {
		t.Error(out.String())
	}
}

// Callers need not check whether there is any work to note things on.
func TestNoWork(t *testing.T) {
	w := eventlog.Current(t.Context())
	w.End("x")
	w.Find("x", false)
	w.Called("vault", time.Second, true)
	if w != nil || w.Outcome("ok") != "ok" || w.Notes() != nil {
		t.Errorf("%v", w)
	}
}

func TestStart(t *testing.T) {
	outer := &eventlog.Work{Invocation: "i", Trace: eventlog.Trace{ID: "t", Parent: "p"}}
	ctx, inner := eventlog.Start(eventlog.With(t.Context(), outer))
	if inner == outer || inner.Invocation != "i" || inner.Trace != outer.Trace || eventlog.Current(ctx) != inner {
		t.Errorf("%+v", inner)
	}
	inner.Called("vault", time.Second, false)
	if outer.Notes() != nil {
		t.Error("the outer work has the inner one's calls")
	}
	if _, alone := eventlog.Start(t.Context()); alone == nil || alone.Trace.ID != "" {
		t.Errorf("%+v", alone)
	}
}

func TestWorkOfManyGoroutines(t *testing.T) {
	w := &eventlog.Work{}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			w.Called("table", time.Millisecond, false)
			w.End("x")
			w.Find("y", false)
			_ = w.Outcome("")
			_ = w.Notes()
		})
	}
	group.Wait()
	if got := line(t, w); !strings.Contains(got, `"calls":{"table":50}`) {
		t.Error(got)
	}
}
