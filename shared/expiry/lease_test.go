package expiry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/expiry"
	"fhirlink/shared/link"
	"fhirlink/shared/store"
	"fhirlink/shared/store/celltest"
)

// slow returns a ledger of one link whose Tend takes the given time.
func slow(takes time.Duration) *ledger {
	return &ledger{due: slugs(1), tended: map[link.Slug]int{}, tend: func(ctx context.Context, s link.Slug) (link.Finding, error) {
		select {
		case <-ctx.Done():
			return link.Finding{}, ctx.Err()
		case <-time.After(takes):
			return link.Finding{Slug: s}, nil
		}
	}}
}

func heartbeat(t *testing.T, cells store.Cells) expiry.Heartbeat {
	t.Helper()
	c, err := cells.Cell(t.Context(), "sweep")
	if err != nil {
		t.Fatal(err)
	}
	var h expiry.Heartbeat
	if c.Value != "" {
		if err := json.Unmarshal([]byte(c.Value), &h); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestFiringTwice: when several runs start at once, only one works.
func TestFiringTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells, l := celltest.New(), slow(20*time.Second)
		var mu sync.Mutex
		var results []expiry.Result
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 4 * time.Second)
				r, err := expiry.Sweep{Links: l, Cells: cells, Log: quiet}.Run(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				results = append(results, r)
			})
		}
		wg.Wait()
		skipped := 0
		for _, r := range results {
			if r.Skipped != "" {
				skipped++
				if r.Skipped != "another run is under way" {
					t.Error(r)
				}
			}
		}
		if skipped != 4 || l.tended["clinic-0"] != 1 {
			t.Errorf("%d of 5 runs were skipped, the link was tended %d times", skipped, l.tended["clinic-0"])
		}
		h := heartbeat(t, cells)
		if h.Fence != 1 || h.Holder != "" || !h.SucceededAt.Equal(time.Now()) || !h.StartedAt.Equal(time.Now().Add(-20*time.Second)) || h.Done != 1 {
			t.Errorf("heartbeat %+v at %v", h, time.Now())
		}
	})
}

// TestCrashedRun: the lease of a crashed run ends by itself, and the next run does the work.
func TestCrashedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells, l := celltest.New(), slow(time.Second)
		crashed := errors.New("crash")
		beats := 0
		cells.Fault = func(op string, before bool) error {
			if op == "Swap" && before {
				if beats++; beats > 1 {
					return crashed
				}
			}
			return nil
		}
		sweep := expiry.Sweep{Links: l, Cells: cells, Log: quiet}
		if r, err := sweep.Run(t.Context()); err != nil || r.Done != 1 {
			t.Fatal(r, err)
		}
		cells.Fault = nil
		if r, err := sweep.Run(t.Context()); err != nil || r.Skipped == "" {
			t.Errorf("right after the crash: %v, %v", r, err)
		}
		time.Sleep(30 * time.Second)
		if r, err := sweep.Run(t.Context()); err != nil || r.Done != 1 {
			t.Errorf("half a minute later: %v, %v", r, err)
		}
		if h := heartbeat(t, cells); h.Fence != 2 {
			t.Errorf("heartbeat %+v", h)
		}
	})
}

// TestOvertaken: a run stops when another run has taken over, and writes no heartbeat.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells, l := celltest.New(), slow(29*time.Second)
		l.due = slugs(9)
		var log bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() {
			r, err := expiry.Sweep{Links: l, Cells: cells, Log: slog.New(slog.NewJSONHandler(&log, nil))}.Run(t.Context())
			if err != nil || r.Done != 0 || r.Failed == 0 {
				t.Errorf("the overtaken run: %v, %v", r, err)
			}
		})
		time.Sleep(5 * time.Second)
		c, err := cells.Cell(t.Context(), "sweep")
		if err != nil {
			t.Fatal(err)
		}
		other := `{"fence":7,"holder":"other","until":"2000-01-01T00:00:30Z"}`
		if _, swapped, err := cells.Swap(t.Context(), "sweep", c, other); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
		start := time.Now()
		wg.Wait()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the overtaken run continued for %v", took)
		}
		if c, _ := cells.Cell(t.Context(), "sweep"); c.Value != other || !strings.Contains(log.String(), "sweep.overtaken") {
			t.Errorf("the cell is %s, the log %s", c.Value, log.String())
		}
	})
}

// TestPanicOfTheLease: renewing runs in a goroutine, where a panic would end the process. Instead
// the run ends, because it can no longer know that it is alone.
func TestPanicOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells, l := celltest.New(), slow(29*time.Second)
		l.due = slugs(9)
		beats := 0
		cells.Fault = func(op string, before bool) error {
			if op == "Swap" && before {
				if beats++; beats == 2 {
					panic("canary")
				}
			}
			return nil
		}
		var log bytes.Buffer
		start := time.Now()
		if r, _ := (expiry.Sweep{Links: l, Cells: cells, Log: slog.New(slog.NewJSONHandler(&log, nil))}).Run(t.Context()); r.Done != 0 || time.Since(start) > 15*time.Second {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
		if !strings.Contains(log.String(), `"msg":"panic"`) || strings.Contains(log.String(), "canary") {
			t.Error(log.String())
		}
	})
}

// TestRunUnlessRecent: a trigger that strangers can call runs the sweep once in 30 s, in
// whichever instance. Run has no such limit.
func TestRunUnlessRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells, l := celltest.New(), slow(0)
		sweep := func() expiry.Sweep { return expiry.Sweep{Links: l, Cells: cells, Log: quiet} }
		for i, tt := range []struct {
			wait    time.Duration
			run     func(context.Context) (expiry.Result, error)
			skipped bool
		}{
			{0, sweep().RunUnlessRecent, false}, // the first run ever
			{0, sweep().RunUnlessRecent, true},
			{30*time.Second - time.Millisecond, sweep().RunUnlessRecent, true}, // a skipped run does not count
			{time.Millisecond, sweep().RunUnlessRecent, false},
			{time.Second, sweep().Run, false},
			{29 * time.Second, sweep().RunUnlessRecent, true}, // a call of Run counts
			{time.Second, sweep().RunUnlessRecent, false},
		} {
			time.Sleep(tt.wait)
			before := heartbeat(t, cells)
			r, err := tt.run(t.Context())
			if err != nil || (r.Skipped != "") != tt.skipped || tt.skipped == (r.Done == 1) {
				t.Errorf("%d: %+v, %v", i, r, err)
			}
			if tt.skipped && (heartbeat(t, cells) != before || r.Skipped != "the last run started less than 30 s ago") {
				t.Errorf("%d: %+v, heartbeat %+v, before %+v", i, r, heartbeat(t, cells), before)
			}
		}
	})
}

// TestUnwrittenLease: a table that can be read but not written is a failure, not a sign of
// another run.
func TestUnwrittenLease(t *testing.T) {
	cells := celltest.New()
	cells.Fault = func(op string, before bool) error {
		if op == "Swap" && before {
			return store.ErrUnavailable
		}
		return nil
	}
	if r, err := (expiry.Sweep{Links: slow(0), Cells: cells, Log: quiet}).Run(t.Context()); !errors.Is(err, store.ErrUnavailable) || r.Skipped != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClockThatWasAhead: a lease that no run can have written does not block other runs.
func TestClockThatWasAhead(t *testing.T) {
	cells := celltest.New()
	ahead := expiry.Sweep{Links: slow(0), Cells: cells, Log: quiet, Now: func() time.Time { return time.Now().AddDate(1, 0, 0) }}
	cells.Fault = failSecondSwap()
	if _, err := ahead.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	cells.Fault = nil
	if r, err := (expiry.Sweep{Links: slow(0), Cells: cells, Log: quiet}).RunUnlessRecent(t.Context()); err != nil || r.Done != 1 {
		t.Errorf("%v, %v", r, err)
	}
}

func failSecondSwap() func(string, bool) error {
	n := 0
	return func(op string, before bool) error {
		if op == "Swap" && before {
			if n++; n > 1 {
				return store.ErrUnavailable
			}
		}
		return nil
	}
}

// TestLineOfARun: the log line says when a run last completed everything that was due, for the
// alert, and which services this run called.
func TestLineOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells := celltest.New()
		sweep := func(l *ledger) (line struct {
			Msg, Trace  string
			Level       string
			Cause       string
			Correlation string
			Complete    bool
			SucceededAt time.Time
			Calls       map[string]int
		},
		) {
			t.Helper()
			var log bytes.Buffer
			outer := &eventlog.Work{Trace: eventlog.Trace{ID: "the-trace"}}
			_, _ = expiry.Sweep{Links: l, Cells: cells, Log: eventlog.New(&log, slog.LevelInfo)}.Run(eventlog.With(t.Context(), outer))
			for text := range strings.Lines(log.String()) {
				if strings.Contains(text, `"msg":"sweep.done"`) {
					if err := json.Unmarshal([]byte(text), &line); err != nil {
						t.Fatal(err)
					}
				}
			}
			if line.Msg == "" || line.Trace != "the-trace" || len(line.Correlation) != 36 || (line.Level == "ERROR") != (line.Cause != "") || outer.Notes() != nil {
				t.Errorf("%+v in %s, and the work around it has %v", line, &log, outer.Notes())
			}
			return line
		}
		down := &ledger{dueErr: fmt.Errorf("%w: the table answered 403", store.ErrUnavailable), tended: map[link.Slug]int{}}
		if line := sweep(down); line.Complete || !line.SucceededAt.IsZero() || !strings.Contains(line.Cause, "the table answered 403") {
			t.Errorf("never a success: %+v", line)
		}
		calling := &ledger{due: slugs(20), tended: map[link.Slug]int{}, tend: func(ctx context.Context, s link.Slug) (link.Finding, error) {
			eventlog.Current(ctx).Called("entra", time.Millisecond, false)
			return link.Finding{Slug: s}, nil
		}}
		first := time.Now()
		if line := sweep(calling); !line.Complete || !line.SucceededAt.Equal(first) || line.Calls["entra"] != 20 {
			t.Errorf("a success: %+v", line)
		}
		time.Sleep(time.Hour)
		if line := sweep(down); line.Complete || !line.SucceededAt.Equal(first) {
			t.Errorf("an hour after the success: %+v", line)
		}
		many := &ledger{due: slugs(5000), tended: map[link.Slug]int{}, tend: calling.tend}
		if line := sweep(many); line.Complete || !line.SucceededAt.Equal(first) {
			t.Errorf("a run with more than it takes up: %+v", line)
		}
		hanging := &ledger{due: slugs(100), tended: map[link.Slug]int{}, tend: func(ctx context.Context, _ link.Slug) (link.Finding, error) {
			<-ctx.Done()
			return link.Finding{}, ctx.Err()
		}}
		if line := sweep(hanging); line.Complete || !line.SucceededAt.Equal(first) {
			t.Errorf("a run that left something: %+v", line)
		}
	})
}

// TestOddHeartbeat: an unreadable heartbeat is overwritten.
func TestOddHeartbeat(t *testing.T) {
	cells := celltest.New()
	if _, _, err := cells.Swap(t.Context(), "sweep", store.Cell{}, "<html>"); err != nil {
		t.Fatal(err)
	}
	if r, err := (expiry.Sweep{Links: slow(0), Cells: cells, Log: quiet}).Run(t.Context()); err != nil || r.Done != 1 || heartbeat(t, cells).Fence != 1 {
		t.Errorf("%v, %v", r, err)
	}
}

// TestHeartbeatSaysWhatWasDone: a run that left links for the next one is no success. A run whose
// links failed is one, because it worked on all of them.
func TestHeartbeatSaysWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cells := celltest.New()
		hanging := &ledger{due: slugs(100), tended: map[link.Slug]int{}, tend: func(ctx context.Context, s link.Slug) (link.Finding, error) {
			<-ctx.Done()
			return link.Finding{}, ctx.Err()
		}}
		r, err := expiry.Sweep{Links: hanging, Cells: cells, Log: quiet}.Run(t.Context())
		if err != nil || r.Left == 0 || !heartbeat(t, cells).SucceededAt.IsZero() {
			t.Errorf("%v, %v, heartbeat %+v", r, err, heartbeat(t, cells))
		}
		down := &ledger{dueErr: store.ErrUnavailable, tended: map[link.Slug]int{}}
		if _, err := (expiry.Sweep{Links: down, Cells: cells, Log: quiet}).Run(t.Context()); err == nil || !heartbeat(t, cells).SucceededAt.IsZero() {
			t.Errorf("%v, heartbeat %+v", err, heartbeat(t, cells))
		}
		cells.Fault = func(string, bool) error { return store.ErrUnavailable }
		if r, err := (expiry.Sweep{Links: slow(0), Cells: cells, Log: quiet}).Run(t.Context()); !errors.Is(err, store.ErrUnavailable) || r.Done != 0 {
			t.Errorf("without the table: %v, %v", r, err)
		}
	})
}
