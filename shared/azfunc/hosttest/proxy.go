package hosttest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// activityTimeout is ForwarderRequestConfig.ActivityTimeout of DefaultHttpProxyService.
const activityTimeout = 240 * time.Second

// proxy simulates enableProxyingHttpRequest (2025): request and answer stream through YARP. The
// path is encoded anew.
func (h *Host) proxy(w http.ResponseWriter, in incoming, to *worker, invocation string) error {
	ctx, cancel := context.WithTimeoutCause(in.Context(), h.root.Host.FunctionTimeout, errFunctionTimeout)
	defer cancel()
	d := h.proxied(in, to, invocation)
	patience := h.ActivityTimeout
	if patience == 0 {
		patience = activityTimeout
	}
	silent := time.AfterFunc(patience, cancel)
	answer, err := retry(ctx, to, d)
	silent.Stop()
	if err != nil {
		return because(ctx, err)
	}
	defer answer.Body.Close()
	copyAnswer(w, answer, func(_ string, values []string) []string { return values })
	if err := stream(w, answer.Body); err != nil {
		if errors.Is(context.Cause(ctx), errFunctionTimeout) {
			h.replace(to)
		}
		panic(http.ErrAbortHandler) // the answer has begun: the connection to the client ends
	}
	return nil
}

// stream passes on a body as it comes.
func stream(w http.ResponseWriter, body io.Reader) error {
	flush := http.NewResponseController(w).Flush
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// notProxied lists the headers that YARP does not pass on, besides hopByHop.
var notProxied = []string{"Forwarded", "X-Forwarded-Prefix", "Proxy-Authenticate", "Proxy-Authorization", "Alt-Svc", "Content-Length"}

func (h *Host) proxied(in incoming, to *worker, invocation string) *delivery {
	d := &delivery{method: in.Method, target: escape(in.path, inPath), host: to.address, header: joined(in.Header)}
	if _, query, ok := strings.Cut(in.RequestURI, "?"); ok {
		d.target += "?" + query
	}
	d.hasContent = slices.ContainsFunc(contentHeaders, func(name string) bool { return in.Header[name] != nil })
	if in.ContentLength != 0 {
		d.body, d.length, d.hasContent = in.Body, in.ContentLength, true
	}
	for _, name := range slices.Concat(hopByHop, notProxied) {
		delete(d.header, name)
	}
	d.header.Set(hostVersionHeader, Version)
	d.header.Set(invocationIDHeader, invocation)
	d.header.Set("x-ms-invocation-id", invocation)
	if h.EarlyProxying {
		d.host = in.Host
		return d
	}
	peer, _, _ := net.SplitHostPort(in.RemoteAddr)
	d.header.Set("X-Forwarded-For", peer)
	d.header.Set("X-Forwarded-Host", in.Host)
	d.header.Set("X-Forwarded-Proto", in.scheme)
	return d
}

const proxyTries = 10

// retry simulates RetryProxyHandler: whatever fails before the answer is tried again. But a body
// can be sent once only, so the later tries with one end when they have a connection.
func retry(ctx context.Context, to *worker, d *delivery) (answer *http.Response, err error) {
	wait := 50 * time.Millisecond
	for try := range proxyTries {
		if try > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			wait = min(2*wait, 250*time.Millisecond)
		}
		if d.begun {
			if c, err := to.connect(ctx); err == nil {
				_ = c.Close() // "Stream was already consumed."
			}
			continue
		}
		if answer, err = to.deliver(ctx, d); err == nil || errors.Is(err, errAnswer) {
			break
		}
	}
	return answer, err
}
