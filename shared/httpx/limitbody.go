package httpx

import (
	"io"
	"net/http"
	"time"
)

// LimitBody lets a handler read at most limit bytes of the body. Further reads return an
// *http.MaxBytesError. The connection stays open for Drain.
func LimitBody(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(nil, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// Limits of Drain. The Functions host accepts bodies of up to 100 MB.
const (
	drainBytes = 100 << 20
	drainTime  = 2 * time.Second
)

// Drain discards the rest of the body before the answer is sent. Otherwise the server would close
// the connection while the client is still sending. The client would never see the answer; behind
// the Functions host it would get an empty 500. Correlate must wrap Drain, because the server looks
// at the body of its own request, of which Correlate makes a copy.
func Drain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &drainable{ReadCloser: r.Body}
		r.Body = body
		next.ServeHTTP(w, r)
		// A client that waits for 100 Continue has sent nothing, and now never will.
		if !body.ended && (body.begun || r.Header.Get("Expect") == "") {
			body.drain(w)
		}
	})
}

// drainable is a body that records how far it was read.
type drainable struct {
	io.ReadCloser
	begun, ended bool
}

func (b *drainable) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.begun, b.ended = true, err != nil
	return n, err
}

// drain stops at the end of the body, at the limits above, or when the client is gone. The server
// handles the rest.
func (b *drainable) drain(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)) // no effect under Lambda, which has the whole body already
	_, _ = io.CopyN(io.Discard, b, drainBytes)
}
