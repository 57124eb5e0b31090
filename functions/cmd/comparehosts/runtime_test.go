package comparehosts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// runtimeAPI is AWS Lambda's side of a function, one invocation at a time.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct {
	*http.ServeMux
	patience atomic.Int64 // time.Duration until the deadline of an invocation

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
	api.patience.Store(int64(time.Minute))
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
		w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Duration(api.patience.Load())).UnixMilli()))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:fhirlink")
		_, _ = w.Write(event) // fails when the program was killed
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

// invoke makes the function handle an event.
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
