package egresstest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe returns two ends of a connection, with a buffer in each direction, as TCP has. net.Pipe
// has none: both ends of a failing TLS handshake would wait for each other.
func pipe() (a, b net.Conn) {
	ab, ba := newStream(), newStream()
	return &end{in: ba, out: ab}, &end{in: ab, out: ba}
}

type end struct{ in, out *stream }

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }

func (e *end) Close() error {
	e.in.set(func(s *stream) { s.noReader = true })
	e.out.set(func(s *stream) { s.noWriter = true })
	return nil
}

func (e *end) LocalAddr() net.Addr  { return address{} }
func (e *end) RemoteAddr() net.Addr { return address{} }

func (e *end) SetDeadline(t time.Time) error {
	_, _ = e.SetReadDeadline(t), e.SetWriteDeadline(t) // neither fails
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.wakeAt(t)
	e.in.set(func(s *stream) { s.readBy = t })
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.wakeAt(t)
	e.out.set(func(s *stream) { s.writeBy = t })
	return nil
}

type address struct{}

func (address) Network() string { return "in-process" }
func (address) String() string  { return "in-process" }

// streamSize is how much can be written before the other end must read, in bytes.
const streamSize = 64 << 10

// stream is one direction of a connection.
type stream struct {
	mu                 sync.Mutex
	changed            sync.Cond
	data               []byte
	noReader, noWriter bool
	readBy, writeBy    time.Time
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

func (s *stream) set(change func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	s.changed.Broadcast()
}

func (s *stream) wakeAt(t time.Time) {
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { s.set(func(*stream) {}) })
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.noReader:
			return 0, net.ErrClosed
		case passed(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			s.changed.Broadcast()
			return n, nil
		case s.noWriter:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		switch {
		case s.noReader || s.noWriter:
			return n, net.ErrClosed
		case passed(s.writeBy):
			return n, os.ErrDeadlineExceeded
		case len(s.data) >= streamSize:
			s.changed.Wait()
			continue
		}
		k := min(len(p), streamSize-len(s.data))
		s.data = append(s.data, p[:k]...)
		p, n = p[k:], n+k
		s.changed.Broadcast()
	}
	return n, nil
}
