package awslambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Handler answers the events of one Lambda function.
type Handler struct {
	HTTP     http.Handler
	Schedule func(context.Context) error
}

// Invoke answers one event. Lambda counts an error as a failed invocation, and the caller of a
// Function URL then gets 502. A panic is returned as an error.
func (h Handler) Invoke(ctx context.Context, payload json.RawMessage) (answer any, err error) {
	// AWS's loop ends the process after a panic; net/http ends only the request.
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, errors.New("the handler panicked")
		}
	}()
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errors.New("the event is not a JSON object of the expected shape")
	}
	switch {
	case e.isSchedule():
		return nil, h.Schedule(ctx)
	case e.isHTTP():
		return h.serve(ctx, &e)
	}
	return nil, fmt.Errorf("the event is neither an HTTP request in payload format 2.0 nor a scheduled event "+
		"(version %.10q, source %.40q); point a Function URL, an API Gateway HTTP API or an EventBridge schedule at this function",
		e.Version, e.Source)
}

func (h Handler) serve(ctx context.Context, e *event) (answer any, err error) {
	r, err := e.request(ctx)
	if err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}}
	h.HTTP.ServeHTTP(w, r)
	return w.response(r.Method), nil
}
