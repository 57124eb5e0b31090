package awslambda

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// event is an event from Lambda, with the fields used here: an HTTP request in payload format
// 2.0, or a run of an EventBridge schedule.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
type event struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"`
	RequestContext  requestContext    `json:"requestContext"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`

	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
}

type requestContext struct {
	DomainName string `json:"domainName"`
	Stage      string `json:"stage"`
	RequestID  string `json:"requestId"`
	HTTP       struct {
		Method   string `json:"method"`
		Protocol string `json:"protocol"`
		SourceIP string `json:"sourceIp"`
	} `json:"http"`
}

// isSchedule reports whether the event is a run of an EventBridge rule or of an EventBridge
// Scheduler schedule.
func (e *event) isSchedule() bool {
	return e.DetailType == "Scheduled Event" && (e.Source == "aws.events" || e.Source == "aws.scheduler")
}

// isHTTP reports whether the event is an HTTP request. Version is "0" in EventBridge's events and
// "1.0" in API Gateway's older format.
func (e *event) isHTTP() bool { return e.Version == "2.0" && e.RequestContext.HTTP.Method != "" }

// request converts the event to the request that a server would have read from the wire.
func (e *event) request(ctx context.Context) (*http.Request, error) {
	target, err := e.target()
	if err != nil {
		return nil, err
	}
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the event holds no HTTP request: %w", err)
	}
	r.URL, r.RequestURI = target, target.RequestURI()
	r.Header = e.header()
	r.Host = cmp.Or(r.Header.Get("Host"), e.RequestContext.DomainName)
	r.Header.Del("Host") // as net/http does: it is in r.Host
	if ip := e.RequestContext.HTTP.SourceIP; ip != "" {
		r.RemoteAddr = net.JoinHostPort(ip, "0") // Lambda does not report the port
	}
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return r, nil
}

// target returns the request's path and query. A Function URL leaves the path percent-encoded;
// API Gateway may decode it, and puts the stage's name before it.
func (e *event) target() (*url.URL, error) {
	path := e.RawPath
	if stage := e.RequestContext.Stage; stage != "" && stage != "$default" {
		if rest, ok := strings.CutPrefix(path, "/"+stage); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if path == "" {
		path = "/"
	}
	if path[0] != '/' {
		return nil, errors.New("the event's rawPath does not begin with a slash")
	}
	u := &url.URL{RawQuery: e.RawQueryString}
	if decoded, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = decoded, path
	} else {
		u.Path = path
	}
	return u, nil
}

func (e *event) body() ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, errors.New("the event's body is not the base64 that isBase64Encoded promises")
	}
	return body, nil
}

// header returns the headers with the cookies, which arrive separately. Repeated headers arrive
// joined by commas and stay so, which HTTP allows (RFC 9110 §5.3).
func (e *event) header() http.Header {
	h := make(http.Header, len(e.Headers)+1)
	for name, value := range e.Headers {
		h.Add(name, value)
	}
	if len(e.Cookies) > 0 {
		h.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return h
}
