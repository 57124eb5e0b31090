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

// gathering is how long the first line after a pause waits for others, unless somebody waits for it.
// So a busy program writes many lines with one system call, which spares it a few hundredths of the
// time of a warm token.
const gathering = time.Millisecond

// Writer is an io.Writer that queues lines and writes them from a separate goroutine, up to a
// millisecond later. If the queue is full, it drops whole lines and counts them. As soon as it can
// write again, it reports the drops in a line of its own. A process that is killed loses the lines of
// its last millisecond.
type Writer struct {
	out   io.Writer
	limit int

	mu      sync.Mutex
	waiting []byte
	dropped int
	taken   uint64 // bytes taken since the start, including dropped ones
	written uint64 // how many of these have been written, or reported as dropped
	failed  error  // the last error of out
	closed  bool
	left    *sync.Cond // written has changed, or the goroutine ended
	ended   bool

	first chan struct{} // has a signal after the first line since the goroutine looked
	hurry chan struct{} // has a signal if somebody waits for what is queued
}

// NewWriter starts a Writer for out. queue limits its queue in bytes; DefaultQueue applies if it
// is not positive. Close stops the Writer.
func NewWriter(out io.Writer, queue int) *Writer {
	if queue <= 0 {
		queue = DefaultQueue
	}
	w := &Writer{out: out, limit: queue, first: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	w.left = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write queues one or more whole lines. It never waits for out and never fails: it drops lines
// that do not fit, and all lines after Close.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		signal(w.first)
	}
	w.taken += uint64(len(p))
	if w.closed || len(w.waiting)+len(p) > w.limit {
		w.dropped++
		return len(p), nil
	}
	w.waiting = append(w.waiting, p...)
	return len(p), nil
}

// signal leaves a signal, unless there is one already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
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
	if w.written < w.taken {
		signal(w.hurry)
	}
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
	signal(w.first)
	signal(w.hurry)
	for !w.ended {
		w.left.Wait()
	}
	return w.failed
}

// run swaps two buffers: Write fills one while the other is written.
func (w *Writer) run() {
	var batch []byte
	for ended := false; !ended; {
		<-w.first
		select {
		case <-w.hurry:
		case <-time.After(gathering):
		}
		w.mu.Lock()
		batch, w.waiting = w.waiting, batch[:0]
		taken, dropped := w.taken, w.dropped
		w.dropped = 0
		w.mu.Unlock()

		err := w.write(appendDropped(batch, dropped))

		w.mu.Lock()
		w.written = taken
		if err != nil {
			w.failed = err
		}
		ended = w.closed && len(w.waiting) == 0 && w.dropped == 0
		w.ended = ended
		w.left.Broadcast()
		w.mu.Unlock()
	}
}

func (w *Writer) write(batch []byte) error {
	if len(batch) == 0 {
		return nil
	}
	_, err := w.out.Write(batch)
	return err
}

// appendDropped appends a line about dropped lines, with the same keys as slog's JSON handler.
func appendDropped(batch []byte, dropped int) []byte {
	if dropped == 0 {
		return batch
	}
	return fmt.Appendf(batch, `{"time":%q,"level":"WARN","msg":"log.dropped","lines":%d}`+"\n",
		time.Now().UTC().Format(time.RFC3339Nano), dropped)
}
