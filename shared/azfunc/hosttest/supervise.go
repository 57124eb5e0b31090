package hosttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Exit codes and limits of HttpFunctionInvocationDispatcher for handlers that end.
const (
	exitDone      = 0   // WorkerConstants.SuccessExitCode
	exitRestart   = 200 // WorkerConstants.IntentionalRestartExitCode
	maxErrors     = 3
	errorInterval = 30 * time.Minute
)

// launch starts a handler and makes it the current one.
func (h *Host) launch() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down != nil {
		return h.down
	}
	w, err := h.newWorker()
	if err != nil {
		h.setDown(err)
		return err
	}
	h.starts++
	h.worker = w
	h.notify()
	go h.watch(w)
	go h.initialize(w)
	return nil
}

// watch waits for a process to end.
func (h *Host) watch(w *worker) {
	_ = w.cmd.Wait() // its exit code says it all
	close(w.exited)
	if w.dropped.Err() != nil {
		return // the host ended it
	}
	switch code := w.cmd.ProcessState.ExitCode(); code {
	case exitDone:
		h.logLine(slog.LevelInfo, "The handler exited with code 0. The host does nothing; invocations will fail.")
	case exitRestart:
		h.restart(w)
	default:
		h.countError(w, fmt.Errorf("the handler exited with code %d", code))
	}
}

func (h *Host) initialize(w *worker) {
	if err := w.poll(h.root.Host.Handler.InitializationTimeout); err != nil && w.dropped.Err() == nil {
		h.countError(w, err)
	}
}

// countError counts an error; the third one stops the host. The count restarts if half an hour
// passes between two errors.
func (h *Host) countError(w *worker, err error) {
	h.logLine(slog.LevelError, err.Error())
	h.mu.Lock()
	now := time.Now()
	if n := len(h.errors); n > 0 && now.Sub(h.errors[n-1]) > errorInterval {
		h.errors = nil
	}
	h.errors = append(h.errors, now)
	if len(h.errors) >= maxErrors {
		h.setDown(fmt.Errorf("%d errors of the handler, the last: %w. The host stops", maxErrors, err))
	}
	h.mu.Unlock()
	h.restart(w)
}

// restart replaces w with a new process, and kills w if it still runs.
func (h *Host) restart(w *worker) {
	h.mu.Lock()
	mine := h.worker == w && w.dropped.Err() == nil
	if mine {
		w.drop()
	}
	h.mu.Unlock()
	if mine {
		w.kill()
		_ = h.launch() // Down holds the error
	}
}

// replace handles a handler whose invocation timed out, as the host does.
func (h *Host) replace(w *worker) {
	h.logLine(slog.LevelError, errFunctionTimeout.Error())
	h.restart(w)
}

// Kill ends the handler with SIGKILL from outside, as the kernel does when memory runs out. It
// counts as an error: the third one within half an hour stops the host. Kill returns when the
// process has ended.
func (h *Host) Kill() {
	if w := h.current(); w != nil {
		_ = w.cmd.Process.Kill() // it may have ended by itself
		<-w.exited
	}
}

// Restart does what the host does after an invocation exceeds functionTimeout: it kills the
// handler with SIGKILL, even if other invocations are running, and starts a new one. It does not
// count as an error.
func (h *Host) Restart() {
	if w := h.current(); w != nil {
		h.restart(w)
	}
}

// Close ends the handler with SIGKILL, as the host does.
func (h *Host) Close() {
	h.mu.Lock()
	h.setDown(errors.New("the host was closed"))
	w := h.worker
	h.mu.Unlock()
	if w != nil {
		w.kill()
	}
	h.console.Lock()
	defer h.console.Unlock()
	h.Console = nil // a finished test accepts no lines
}

// PID returns the process id of the handler, or 0 if none was started.
func (h *Host) PID() int {
	if w := h.current(); w != nil {
		return w.cmd.Process.Pid
	}
	return 0
}

func (h *Host) current() *worker {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.worker
}

// setDown and notify require h.mu.
func (h *Host) setDown(err error) {
	if h.down == nil {
		h.down = err
		h.notify()
	}
}

func (h *Host) notify() {
	if h.changed != nil {
		close(h.changed)
	}
	h.changed = make(chan struct{})
}

// await waits for the handler as an invocation does: for the duration of four starts, after which
// the host stops.
func (h *Host) await(ctx context.Context) (*worker, error) {
	patience := time.NewTimer(4 * h.root.Host.Handler.InitializationTimeout)
	defer patience.Stop()
	for {
		h.mu.Lock()
		w, changed, down := h.worker, h.changed, h.down
		h.mu.Unlock()
		if down != nil {
			return nil, down
		}
		ready := w.ready
		if w.dropped.Err() != nil {
			ready = nil // the next handler is about to start
		}
		select {
		case <-ready:
			return w, nil
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
			h.mu.Lock()
			h.setDown(errors.New("no handler became ready in time: the host stops"))
			h.mu.Unlock()
		}
	}
}
