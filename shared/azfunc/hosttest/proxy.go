package hosttest

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"time"
)

// proxy simulates enableProxyingHttpRequest (2025): request and answer stream through YARP, with
// path and query unchanged.
func proxy(w http.ResponseWriter, r *http.Request, to *worker, invocation string) {
	(&httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { rewrite(p, to.url, invocation) },
		Transport:     retrying{to},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // the client sees the error
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}).ServeHTTP(w, r)
}

func rewrite(p *httputil.ProxyRequest, base, invocation string) {
	setHost(p.Out, base)
	p.Out.Host = p.In.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		copyHeader(p.Out.Header, p.In.Header, name) // ReverseProxy removes them
	}
	p.Out.Header.Set(hostVersionHeader, Version)
	p.Out.Header.Set(invocationIDHeader, invocation)
	p.Out.Header.Set("x-ms-invocation-id", invocation)
	if _, ok := p.In.Header["User-Agent"]; !ok {
		p.Out.Header.Set("User-Agent", "") // suppresses net/http's default
	}
}

// retrying retries while no connection can be made, up to ten tries in all.
type retrying struct{ to *worker }

const proxyTries = 10

func (t retrying) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	wait := 50 * time.Millisecond
	for range proxyTries {
		answer, err = t.to.client.RoundTrip(r)
		if err == nil || !isConnect(err) {
			return answer, err
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		wait = min(2*wait, 250*time.Millisecond)
	}
	return nil, err
}
