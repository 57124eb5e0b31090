package httpx

import (
	"io"
	"net/http"
	"time"
)

// LimitBody lets at most limit bytes of the body through; reading on is an
// *http.MaxBytesError. The connection stays open for Drain.
func LimitBody(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(nil, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// Bounds of what Drain reads. The Functions host takes bodies of up to 100 MB.
const (
	drainBytes = 100 << 20
	drainTime  = 2 * time.Second
)

// Drain reads and drops what the handler left of the body, before the answer goes out. Without
// it the server would close the connection under a client that is still sending. That client
// would never see the answer; behind the Functions host it would get an empty 500.
func Drain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &drainable{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // a copy: the server looks at the type of its own request's body
		r.Body = body
		next.ServeHTTP(w, r)
		// A client that waits for 100 Continue has sent nothing yet, and now never does.
		if !body.ended && (body.begun || r.Header.Get("Expect") == "") {
			body.drain(w)
		}
	})
}

// drainable is a body that remembers how far it was read.
type drainable struct {
	io.ReadCloser
	begun, ended bool
}

func (b *drainable) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.begun, b.ended = true, err != nil
	return n, err
}

// drain ends at the body's end, at the bounds above, or when the client has gone; what is left
// then is the server's to deal with.
func (b *drainable) drain(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)) // Lambda has no connection, and all of the body
	_, _ = io.CopyN(io.Discard, b, drainBytes)
}
