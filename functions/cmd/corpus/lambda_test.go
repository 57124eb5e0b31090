package corpus_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// startLambda runs cmd/lambda, with aws-lambda-go's own loop, behind a Runtime API, and
// returns the URL of its Function URL.
//
// Its identity comes from the environment. The tenant is "adfs", because azidentity asks
// login.microsoft.com about any other authority that it does not know.
func startLambda(t *testing.T, cloud *cloudtest.Cloud) string {
	identity := newIdentity(t, cloud)
	api := newRuntimeAPI()
	runtime := httptest.NewServer(api)
	t.Cleanup(runtime.Close)
	t.Cleanup(api.close) // ends the request that waits for an event
	run(t, program(t, "lambda"), settings(cloud, table(t),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(runtime.URL, "http://"),
		"AZURE_AUTHORITY_HOST="+identity, "AZURE_TENANT_ID=adfs", "AZURE_CLIENT_ID="+cloudtest.ClientID, "AZURE_CLIENT_SECRET=canary-lambda-secret"))
	select {
	case <-api.asked:
	case <-time.After(20 * time.Second):
		t.Fatal("cmd/lambda does not ask for events")
	}
	public := httptest.NewServer(http.HandlerFunc(api.functionURL))
	t.Cleanup(public.Close)
	return public.URL
}

// newIdentity is an authority that gives out tokens for the vault. It stands in front of the
// cloud's own, so that it has the certificate that the program trusts.
func newIdentity(t *testing.T, cloud *cloudtest.Cloud) (url string) {
	t.Helper()
	base := cloud.AuthorityURL + "/adfs"
	cloud.Entra.Before = func(w http.ResponseWriter, r *http.Request) bool {
		var answer map[string]any
		switch {
		case strings.HasPrefix(r.URL.Path, "/adfs/.well-known/"):
			answer = map[string]any{"issuer": base, "authorization_endpoint": base + "/oauth2/authorize", "token_endpoint": base + "/oauth2/token"}
		case r.URL.Path == "/adfs/oauth2/token" && r.PostFormValue("client_secret") == "canary-lambda-secret":
			answer = map[string]any{"access_token": "canary-identity-token", "token_type": "Bearer", "expires_in": 3600}
		default:
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the caller went away
		return true
	}
	cloud.Vault.Challenge = strings.Replace(cloud.Vault.Challenge, cloud.AuthorityURL+"/"+cloudtest.Tenant, base, 1)
	return cloud.AuthorityURL
}

// runtimeAPI is AWS Lambda's side of a function, one invocation at a time.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct {
	*http.ServeMux
	one     sync.Mutex
	asked   chan struct{} // closed by the first request for an event
	events  chan []byte
	answers chan invocationResult
	closed  chan struct{}
	close   func()
	ask     func()
}

type invocationResult struct {
	failed bool
	body   []byte
}

func newRuntimeAPI() *runtimeAPI {
	api := &runtimeAPI{ServeMux: http.NewServeMux(), asked: make(chan struct{}), events: make(chan []byte), answers: make(chan invocationResult), closed: make(chan struct{})}
	api.close = sync.OnceFunc(func() { close(api.closed) })
	api.ask = sync.OnceFunc(func() { close(api.asked) })
	const invocation = "/2018-06-01/runtime/invocation/"
	api.HandleFunc("GET "+invocation+"next", api.next)
	api.HandleFunc("POST "+invocation+"{id}/response", api.answer(false))
	api.HandleFunc("POST "+invocation+"{id}/error", api.answer(true))
	return api
}

func (api *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	api.ask()
	select {
	case event := <-api.events:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:fhirlink")
		_, _ = w.Write(event) // the program was killed
	case <-api.closed:
		w.WriteHeader(http.StatusGone) // ends the loop
	case <-r.Context().Done():
	}
}

func (api *runtimeAPI) answer(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.WriteHeader(http.StatusAccepted)
		select {
		case api.answers <- invocationResult{failed, body}:
		case <-api.closed:
		}
	}
}

// invoke has the function handle an event.
func (api *runtimeAPI) invoke(event any) (invocationResult, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return invocationResult{}, err
	}
	api.one.Lock()
	defer api.one.Unlock()
	timeout := time.After(time.Minute)
	select {
	case api.events <- payload:
	case <-timeout:
		return invocationResult{}, errors.New("the program does not ask for events")
	}
	select {
	case result := <-api.answers:
		return result, nil
	case <-timeout:
		return invocationResult{}, errors.New("the program did not answer")
	}
}

// functionURL is the function's public side, in payload format 2.0.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func (api *runtimeAPI) functionURL(w http.ResponseWriter, r *http.Request) {
	event, err := urlEvent(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	result, err := api.invoke(event)
	var answer struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if err != nil || result.failed || json.Unmarshal(result.body, &answer) != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range answer.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body) // the client went away
}

func urlEvent(r *http.Request) (map[string]any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	headers := map[string]string{"host": r.Host, "x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery,
		"headers": headers,
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": "x", "domainName": r.Host, "requestId": "r1", "routeKey": "$default", "stage": "$default",
			"http": map[string]any{"method": r.Method, "path": r.URL.Path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": r.UserAgent()},
		},
		"body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": len(body) > 0,
	}, nil
}
