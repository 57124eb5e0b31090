package eventlog

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// DefaultQueue is the default limit of a Writer's queue, in bytes.
const DefaultQueue = 1 << 20

// Writer is an io.Writer that queues lines and writes them from a separate goroutine. If the
// queue is full, it drops whole lines and counts them. As soon as it can write again, it reports
// the drops in a line of its own.
type Writer struct {
	out   io.Writer
	limit int

	mu      sync.Mutex
	waiting []byte
	dropped int
	taken   uint64 // bytes accepted since the start, including dropped ones
	written uint64 // how many bytes of taken have been written
	failed  error  // the last error of out
	closed  bool
	wake    *sync.Cond // something to write, or closed
	left    *sync.Cond // written has changed, or the goroutine ended
	ended   bool
}

// NewWriter starts a Writer for out. queue limits its queue in bytes; DefaultQueue applies if it
// is not positive. Close stops the Writer.
func NewWriter(out io.Writer, queue int) *Writer {
	if queue <= 0 {
		queue = DefaultQueue
	}
	w := &Writer{out: out, limit: queue}
	w.wake, w.left = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write queues one or more whole lines. It never waits for out and never fails: it drops lines
// that do not fit, and all lines after Close.
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

// Flush waits until all lines queued so far have been written, or until ctx ends. It returns the
// error of the last failed write, if any.
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

// Close writes the queued lines and stops the goroutine. Later lines are dropped.
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

// run swaps two buffers: Write fills one while the other is written.
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
		_, err := w.out.Write(appendDropped(batch, dropped))
		w.mu.Lock()

		w.written += uint64(size)
		if err != nil {
			w.failed = err
		}
		w.left.Broadcast()
	}
}

// appendDropped appends a line about dropped lines, with the same keys as slog's JSON handler.
func appendDropped(batch []byte, dropped int) []byte {
	if dropped == 0 {
		return batch
	}
	return fmt.Appendf(batch, `{"time":%q,"level":"WARN","msg":"log.dropped","lines":%d}`+"\n",
		time.Now().UTC().Format(time.RFC3339Nano), dropped)
}
