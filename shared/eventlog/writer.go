package eventlog

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// DefaultQueue is how many bytes of lines wait to be written at most.
const DefaultQueue = 1 << 20

// Writer is an io.Writer that takes a line at once and writes it from a goroutine of its
// own. When more than its queue holds are waiting it drops whole lines, counts them, and
// says so in a line of its own as soon as it can write again.
type Writer struct {
	out   io.Writer
	limit int

	mu      sync.Mutex
	waiting []byte
	dropped int
	taken   uint64 // bytes accepted since the start, drops included
	written uint64 // of taken, how many have left
	failed  error  // the last error of out
	closed  bool
	wake    *sync.Cond // something to write, or closed
	left    *sync.Cond // written has moved, or the goroutine ended
	ended   bool
}

// NewWriter starts a Writer in front of out; queue is its bound in bytes, DefaultQueue when
// it is not positive. Close ends it.
func NewWriter(out io.Writer, queue int) *Writer {
	if queue <= 0 {
		queue = DefaultQueue
	}
	w := &Writer{out: out, limit: queue}
	w.wake, w.left = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write takes one or more whole lines. It never waits for out and never fails: a line that
// finds no room, or a closed Writer, is dropped.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.waiting)+len(p) > w.limit {
		w.dropped++
		return len(p), nil
	}
	w.waiting = append(w.waiting, p...)
	w.taken += uint64(len(p))
	w.wake.Signal()
	return len(p), nil
}

// Flush waits until all that was taken before has been written, or ctx ends. It returns the
// error of the last write that failed, if any.
func (w *Writer) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.left.Broadcast()
	})
	defer stop()

	w.mu.Lock()
	defer w.mu.Unlock()
	for until := w.taken; w.written < until && !w.ended && ctx.Err() == nil; {
		w.left.Wait()
	}
	if err := ctx.Err(); err != nil && w.written < w.taken {
		return err
	}
	return w.failed
}

// Close writes what waits and ends the goroutine. Lines written after it are dropped.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.wake.Signal()
	for !w.ended {
		w.left.Wait()
	}
	return w.failed
}

// run swaps two buffers: one is filled by Write while the other goes out.
func (w *Writer) run() {
	var batch []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.waiting) == 0 && w.dropped == 0 && !w.closed {
			w.wake.Wait()
		}
		if len(w.waiting) == 0 && w.dropped == 0 {
			w.ended = true
			w.left.Broadcast()
			return
		}
		batch, w.waiting = w.waiting, batch[:0]
		size, dropped := len(batch), w.dropped
		w.dropped = 0

		w.mu.Unlock()
		_, err := w.out.Write(note(batch, dropped))
		w.mu.Lock()

		w.written += uint64(size)
		if err != nil {
			w.failed = err
		}
		w.left.Broadcast()
	}
}

// note appends the line about dropped lines; slog's JSON handler writes its keys the same way.
func note(batch []byte, dropped int) []byte {
	if dropped == 0 {
		return batch
	}
	return fmt.Appendf(batch, `{"time":%q,"level":"WARN","msg":"log.dropped","lines":%d}`+"\n",
		time.Now().UTC().Format(time.RFC3339Nano), dropped)
}
