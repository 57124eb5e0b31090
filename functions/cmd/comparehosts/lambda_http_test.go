package comparehosts_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// toEvent plays the service that calls a function in AWS: it makes an event of a request and its
// body.
type toEvent func(r *http.Request, body []byte) map[string]any

// serveEvents serves the public side of a function until the test ends.
func serveEvents(t *testing.T, f *function, event toEvent) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		result, err := f.invoke(event(r, body))
		if err != nil || result.failed || write(w, result.body) != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// write turns a function's answer, in payload format 2.0, into an HTTP answer.
func write(w http.ResponseWriter, payload []byte) error {
	var answer struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return err
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			return err
		}
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range answer.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body) // fails when the client is gone
	return nil
}

// callerAddress is the client's address in AWS's events.
const callerAddress = "192.0.2.7"

// urlEvent makes the event of a Function URL: the path as it came, every body in base64.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func urlEvent(r *http.Request, body []byte) map[string]any {
	return map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery,
		"headers": lowerCase(r, "x"), "cookies": cookies(r),
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": "x", "domainName": "x.lambda-url.eu-west-1.on.aws", "requestId": "r1", "routeKey": "$default", "stage": "$default",
			"http": map[string]any{"method": r.Method, "path": r.URL.Path, "protocol": "HTTP/1.1", "sourceIp": callerAddress, "userAgent": r.UserAgent()},
		},
		"body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": len(body) > 0,
	}
}

// gatewayEvent makes the event of an API Gateway HTTP API with a stage. The stage precedes the
// path, and the path is decoded. Repeated query keys are also joined. JSON is text, and any
// other body is base64. Cookies are apart from the headers; browsers that visited another page
// of that host send some.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func gatewayEvent(r *http.Request, body []byte) map[string]any {
	path := "/prod" + r.URL.Path
	event := map[string]any{
		"version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": path, "rawQueryString": r.URL.RawQuery,
		"cookies": append([]string{"session=canary-cookie", "second=v2"}, cookies(r)...),
		"headers": lowerCase(r, "y"), "queryStringParameters": joined(r.URL.Query()), "pathParameters": map[string]string{"proxy": strings.TrimPrefix(r.URL.Path, "/")},
		"stageVariables": map[string]string{"color": "green"},
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "y", "domainName": "y.execute-api.eu-west-1.amazonaws.com", "domainPrefix": "y",
			"requestId": "JKJaXmPLvHcESHA=", "routeKey": "ANY /{proxy+}", "stage": "prod", "time": "23/Nov/2026:06:00:00 +0000", "timeEpoch": 1795413600000,
			"http": map[string]any{"method": r.Method, "path": path, "protocol": "HTTP/1.1", "sourceIp": callerAddress, "userAgent": r.UserAgent()},
		},
		"isBase64Encoded": false,
	}
	switch {
	case len(body) == 0:
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") && utf8.Valid(body):
		event["body"] = string(body)
	default:
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

// lowerCase returns the headers as AWS passes them, with those that it adds.
func lowerCase(r *http.Request, apiID string) map[string]string {
	headers := map[string]string{"host": r.Host, "x-forwarded-port": "443", "x-forwarded-proto": "https", "x-amzn-trace-id": "Root=1-5bef4de7-" + apiID}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	delete(headers, "cookie") // cookies have a member of their own
	headers["x-forwarded-for"] = strings.TrimPrefix(headers["x-forwarded-for"]+", "+callerAddress, ", ")
	return headers
}

// cookies returns the cookies as AWS passes them; nil for none.
func cookies(r *http.Request) (all []string) {
	for _, c := range r.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return all
}

func joined(query url.Values) map[string]string {
	all := map[string]string{}
	for name, values := range query {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// TestLambdaTrustsNoAddress: the address from which a request says it comes, in AWS's fields or
// in its own headers, decides nothing. Only cmd/local looks at addresses at all.
func TestLambdaTrustsNoAddress(t *testing.T) {
	cloudtest.LinuxOnly(t)
	f := startFunction(t, cloudtest.Start(t), table(t))
	for name, event := range map[string]toEvent{
		"Function URL": urlEvent, "Function URL on loopback": fromLoopback(urlEvent),
		"API Gateway": gatewayEvent, "API Gateway on loopback": fromLoopback(gatewayEvent),
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", serveEvents(t, f, event)+"/api/links", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "localhost"
		for _, header := range []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP"} {
			r.Header.Set(header, "127.0.0.1")
		}
		r.Header.Set("Forwarded", "for=127.0.0.1;host=localhost")
		r.Header.Set("X-Local-Organization", cloudtest.Tenant)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
}

func fromLoopback(event toEvent) toEvent {
	return func(r *http.Request, body []byte) map[string]any {
		e := event(r, body)
		e["requestContext"].(map[string]any)["http"].(map[string]any)["sourceIp"] = "127.0.0.1"
		return e
	}
}
