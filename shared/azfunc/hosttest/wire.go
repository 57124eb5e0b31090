package hosttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"syscall"
	"time"
)

// delivery is a request as the host writes it to the handler.
type delivery struct {
	method, target, host string
	header               http.Header // without Content-Length and Transfer-Encoding
	body                 io.Reader   // nil: none
	length               int64       // of the body; -1: it is sent in chunks
	hasContent           bool        // .NET's request has a content, which may be empty
	begun                bool        // the body was read: it cannot be sent again
}

// connection is a connection to the handler.
type connection struct {
	net.Conn
	read    *bufio.Reader
	watched chan error // while idle: why it ended
}

var (
	errClosed = errors.New("the handler closed the connection without an answer")
	errReset  = errors.New("the handler reset the connection")
	errAnswer = errors.New("HttpClient or Kestrel refuses the handler's answer")
)

// connectionRetries is SocketsHttpHandler's MaxConnectionFailureRetries.
const connectionRetries = 3

// deliver sends a request as .NET's HttpClient does: if the handler closes the connection without
// an answer, it sends a request without a content again.
func (w *worker) deliver(ctx context.Context, d *delivery) (answer *http.Response, err error) {
	for range 1 + connectionRetries {
		answer, err = w.send(ctx, d)
		if !errors.Is(err, errClosed) || d.hasContent {
			break
		}
	}
	return answer, err
}

// send sends a request once. Closing the answer's body frees the connection.
func (w *worker) send(ctx context.Context, d *delivery) (*http.Response, error) {
	c, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // the exchange fails
	answer, err := c.exchange(d)
	if err == nil {
		err = checkAnswer(answer)
	}
	if err != nil {
		stop()
		_ = c.Close() // it failed already
		return nil, err
	}
	answer.Body = &answerBody{ReadCloser: answer.Body, close: func(complete bool) {
		if !stop() || !complete || answer.Close || !w.keep(c) {
			_ = c.Close() // it is not used again
		}
	}}
	return answer, nil
}

// connect takes an idle connection that the handler has not closed, or makes one.
func (w *worker) connect(ctx context.Context) (*connection, error) {
	for {
		select {
		case c := <-w.idle:
			if c.alive() {
				return c, nil
			}
			_ = c.Close() // the handler did the same
			continue
		default:
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.address)
		if err != nil {
			return nil, err
		}
		return &connection{Conn: c, read: bufio.NewReader(c), watched: make(chan error, 1)}, nil
	}
}

// keep makes c idle, and watches for its end.
func (w *worker) keep(c *connection) bool {
	select {
	case w.idle <- c:
		go func() {
			_, err := c.read.Peek(1)
			c.watched <- err
		}()
		return true
	default:
		return false
	}
}

// alive ends the watch over an idle connection, and reports whether it has not ended before.
func (c *connection) alive() bool {
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails if it has ended
	ended := !errors.Is(<-c.watched, os.ErrDeadlineExceeded)
	return c.SetReadDeadline(time.Time{}) == nil && !ended
}

// exchange writes the request and reads the head of the answer. Like HttpClient, it wants to send
// all of the request even if the answer has come.
func (c *connection) exchange(d *delivery) (*http.Response, error) {
	written := make(chan error, 1)
	if d.body == nil {
		written <- d.write(c)
	} else {
		d.begun = true // here, because the answer may come or fail while the body is being sent
		go func() { written <- d.write(c) }()
	}
	answer, err := c.answer(d.method)
	if err != nil {
		return nil, err
	}
	if err := <-written; err != nil {
		return nil, fmt.Errorf("%w while the host still sent the request: %w", errReset, err)
	}
	return answer, nil
}

// answer reads the head of the final answer.
func (c *connection) answer(method string) (*http.Response, error) {
	switch _, err := c.read.Peek(1); {
	case errors.Is(err, io.EOF):
		return nil, errClosed
	case errors.Is(err, syscall.ECONNRESET):
		return nil, errReset
	case err != nil:
		return nil, err
	}
	for {
		answer, err := http.ReadResponse(c.read, &http.Request{Method: method})
		if err != nil || answer.StatusCode >= 200 || answer.StatusCode == http.StatusSwitchingProtocols {
			return answer, err
		}
	}
}

func (d *delivery) write(c net.Conn) error {
	w := bufio.NewWriter(c)
	fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n", d.method, d.target, d.host)
	if err := d.header.Write(w); err != nil {
		return err
	}
	switch {
	case d.body != nil && d.length < 0:
		fmt.Fprint(w, "Transfer-Encoding: chunked\r\n")
	case d.body != nil || d.hasContent || d.method != http.MethodGet && d.method != http.MethodHead && d.method != http.MethodDelete && d.method != http.MethodOptions:
		fmt.Fprintf(w, "Content-Length: %d\r\n", d.length)
	}
	fmt.Fprint(w, "\r\n")
	if d.body == nil {
		return w.Flush()
	}
	if d.length >= 0 {
		if _, err := io.Copy(w, d.body); err != nil {
			return err
		}
		return w.Flush()
	}
	if err := w.Flush(); err != nil {
		return err
	}
	chunks := httputil.NewChunkedWriter(c)
	if _, err := io.Copy(chunks, d.body); err != nil {
		return err
	}
	if err := chunks.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(c, "\r\n") // no trailers
	return err
}

// maxAnswerHeaders is HttpClient's MaxResponseHeadersLength.
const maxAnswerHeaders = 64 << 10

// checkAnswer refuses what the host cannot pass on.
func checkAnswer(a *http.Response) error {
	switch {
	case !headersAreASCII(a.Header):
		return fmt.Errorf("%w: a header is not ASCII", errAnswer)
	case headerSize(a.Header) > maxAnswerHeaders:
		return fmt.Errorf("%w: it has more than 64 KB of headers", errAnswer)
	case a.StatusCode == http.StatusNoContent && (strings.Trim(a.Header.Get("Content-Length"), "0") != "" || len(a.TransferEncoding) > 0):
		return fmt.Errorf("%w: it is a 204 with a body", errAnswer)
	}
	return nil
}

// answerBody frees the connection when it is closed.
type answerBody struct {
	io.ReadCloser
	close    func(complete bool)
	complete bool
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.complete = b.complete || errors.Is(err, io.EOF)
	return n, err
}

func (b *answerBody) Close() error {
	if b.close != nil {
		b.close(b.complete)
		b.close = nil
	}
	return nil
}
