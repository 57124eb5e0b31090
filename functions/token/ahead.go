package token

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// ReadAhead begins to read the link of a program's first token request while the caller is being
// checked. That check fetches the authority's signing keys, so both are fetched side by side. It
// does so once: a caller without a right may cause one read of the table, and no more.
type ReadAhead struct {
	begun atomic.Bool
	// Links begins to read a link and returns at once.
	Links func(ctx context.Context, slug string)
}

// aheadAtMost bounds the bodies that are read before the caller is known, in bytes. A request for a
// token is far smaller.
const aheadAtMost = 4 << 10

// Begin returns the request to go on with, because it reads the body.
func (a *ReadAhead) Begin(r *http.Request) *http.Request {
	if r.ContentLength <= 0 || r.ContentLength > aheadAtMost || r.Header.Get("Authorization") == "" {
		return r
	}
	if !a.begun.CompareAndSwap(false, true) { // and nobody waits for a body that comes slowly
		return r
	}
	return a.begin(r)
}

func (a *ReadAhead) begin(r *http.Request) *http.Request {
	var read bytes.Buffer
	rest := r.Body
	peek := r.Clone(r.Context())
	peek.Body = io.NopCloser(io.TeeReader(rest, &read))
	if asked, err := parse(peek); err == nil {
		a.Links(r.Context(), asked.slug)
	}
	again := r.Clone(r.Context())
	again.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&read, rest), rest}
	return again
}
