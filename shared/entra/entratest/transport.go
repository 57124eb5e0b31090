package entratest

import (
	"bytes"
	"io"
	"net/http"
)

// Client returns a client that reaches the authority without a network, whatever host a URL
// names. It does not follow redirects.
func (a *Authority) Client() *http.Client {
	return &http.Client{
		Transport:     InProcess(a),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// InProcess returns a transport that serves each request with a call of h.
func InProcess(h http.Handler) http.RoundTripper { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.Host, served.RequestURI = r.URL.Host, r.URL.RequestURI()
	if served.Body == nil {
		served.Body = http.NoBody
	}
	defer served.Body.Close()
	recorder := &recorder{header: http.Header{}}
	t.handler.ServeHTTP(recorder, served)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.response(r), nil
}

type recorder struct {
	header http.Header // as the handler sees it
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.sent = status, r.header.Clone()
	}
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

func (r *recorder) response(request *http.Request) *http.Response {
	r.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.sent, Body: io.NopCloser(&r.body), ContentLength: int64(r.body.Len()), Request: request,
	}
}
