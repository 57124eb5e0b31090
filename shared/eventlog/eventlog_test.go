package eventlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/problem"
)

// gate is a slow reader: it lets one Write through per token.
type gate struct {
	bytes.Buffer
	tokens chan struct{}
	err    error
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.tokens
	if g.err != nil {
		return 0, g.err
	}
	return g.Buffer.Write(p)
}

func TestWriterKeepsOrderAndLines(t *testing.T) {
	var out bytes.Buffer
	w := eventlog.NewWriter(&out, 0)
	log := eventlog.New(w, slog.LevelInfo)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 200 {
				log.Info("x", "worker", worker, "i", i)
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	last := map[int]int{}
	count := 0
	for line := range strings.Lines(out.String()) {
		var event struct{ Worker, I int }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.I != last[event.Worker] {
			t.Fatalf("worker %d: %d after %d", event.Worker, event.I, last[event.Worker])
		}
		last[event.Worker]++
		count++
	}
	if count != 1600 {
		t.Errorf("%d lines, want 1600", count)
	}
}

func TestWriterNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{tokens: make(chan struct{}, 10)}
		w := eventlog.NewWriter(out, 100)
		line := []byte(strings.Repeat("a", 49) + "\n")
		_, _ = w.Write(line) // is taken from the queue, and then blocks
		time.Sleep(time.Second)
		for range 5 { // two fit, three do not
			if n, err := w.Write(line); n != 50 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		for range 3 {
			out.tokens <- struct{}{}
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if strings.Count(got, string(line)) != 3 || !strings.Contains(got, `"msg":"log.dropped","lines":3}`) {
			t.Errorf("%s", got)
		}
		for l := range strings.Lines(strings.ReplaceAll(got, string(line), "")) {
			if !json.Valid([]byte(l)) {
				t.Errorf("not JSON: %s", l)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// counted counts the calls of Write.
type counted struct{ bytes, writes atomic.Int64 }

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

// Lines of the same moment are written together, soon, and at once if somebody waits for them.
func TestWriterGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out counted
		w := eventlog.NewWriter(&out, 0)
		write := func(lines int) {
			for range lines {
				_, _ = w.Write([]byte("a\n"))
				synctest.Wait()
			}
		}
		written := func(lines, writes int64) {
			t.Helper()
			if got, in := out.bytes.Load()/2, out.writes.Load(); got != lines || in != writes {
				t.Errorf("%d lines in %d writes, want %d in %d", got, in, lines, writes)
			}
		}
		write(3)
		written(0, 0)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		written(3, 1)
		for range 3 {
			write(2)
			start := time.Now()
			if err := w.Flush(t.Context()); err != nil || time.Since(start) > 0 {
				t.Errorf("Flush: %v after %v", err, time.Since(start))
			}
		}
		written(9, 4)
		_, _ = w.Write(make([]byte, eventlog.DefaultQueue+1))
		if err := w.Flush(t.Context()); err != nil || out.writes.Load() != 5 {
			t.Errorf("a line that was dropped is not reported at once: %v, %d writes", err, out.writes.Load())
		}
		reported := out.bytes.Swap(18)
		if reported <= 18 {
			t.Error("nothing is reported")
		}
		if err := w.Flush(t.Context()); err != nil { // with nothing to do it hurries nobody
			t.Error(err)
		}
		write(1)
		written(9, 5)
		start := time.Now()
		if err := w.Close(); err != nil || time.Since(start) > 0 {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		written(10, 6)
	})
}

func TestFlushHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{tokens: make(chan struct{}, 1)}
		w := eventlog.NewWriter(out, 0)
		_, _ = w.Write([]byte("a\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush = %v", err)
		}
		out.tokens <- struct{}{}
		if err := w.Close(); err != nil || out.String() != "a\n" {
			t.Errorf("Close = %v, written %q", err, out.String())
		}
	})
}

func TestFlushWithNothingToDo(t *testing.T) {
	w := eventlog.NewWriter(&bytes.Buffer{}, 0)
	if err := w.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestWriterAfterClose(t *testing.T) {
	var out bytes.Buffer
	w := eventlog.NewWriter(&out, 0)
	_ = w.Close()
	if n, err := w.Write([]byte("late\n")); n != 5 || err != nil || out.Len() > 0 {
		t.Errorf("Write = %d, %v; %q", n, err, &out)
	}
}

func TestWriterReportsFailure(t *testing.T) {
	out := &gate{tokens: make(chan struct{}, 10), err: errors.New("disk full")}
	for range 10 {
		out.tokens <- struct{}{}
	}
	w := eventlog.NewWriter(out, 0)
	_, _ = w.Write([]byte("a\n"))
	if err := w.Flush(t.Context()); !errors.Is(err, out.err) {
		t.Errorf("Flush = %v", err)
	}
	if err := w.Close(); !errors.Is(err, out.err) {
		t.Errorf("Close = %v", err)
	}
}

func TestNewAddsTheRequestsIDs(t *testing.T) {
	var out bytes.Buffer
	log := eventlog.New(&out, slog.LevelInfo)
	work := &eventlog.Work{Invocation: "i-1", Trace: eventlog.Trace{ID: "t-1", Parent: "p-1"}}
	ctx := eventlog.With(problem.WithCorrelation(t.Context(), "c-1"), work)
	log.With("a", 1).InfoContext(ctx, "with")
	log.InfoContext(t.Context(), "without")
	log.DebugContext(ctx, "below the level")

	with, without, _ := strings.Cut(out.String(), "\n")
	if !strings.HasSuffix(with, `"msg":"with","a":1,"correlation":"c-1","trace":"t-1","parent":"p-1","invocation":"i-1"}`) {
		t.Error(with)
	}
	if !strings.HasSuffix(without, `"msg":"without"}`+"\n") {
		t.Error(without)
	}
}

func BenchmarkWriter(b *testing.B) {
	w := eventlog.NewWriter(discard{}, 0)
	log := eventlog.New(w, slog.LevelInfo)
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelInfo, "token.issued", slog.String("link", "good-health-clinic"))
	}
	_ = w.Close()
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
