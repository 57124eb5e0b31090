package hosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Timer is one run of a timer trigger as the host sees it. The zero Timer is a punctual run of a
// timer that has never run before.
type Timer struct {
	Last     time.Time // the previous run; zero: none
	PastDue  bool      // the host was down when it was due
	NoStatus bool      // ScheduleStatus is null: no monitor, or a manual run before any other
	NoOffset bool      // dates without +00:00, which hosts write for a timer that never ran
	Retry    int       // previous attempts under a retry policy

	// Metadata is added to the host's metadata. Values that are not objects become strings that
	// hold their JSON.
	Metadata map[string]any
}

// Answer is the handler's answer to an invocation.
type Answer struct {
	Invocation  string `json:"-"`
	Outputs     map[string]any
	Logs        []string
	ReturnValue any
}

// ErrHung means that the handler answered 2xx with an empty body or null. The host then has no
// result, waits until functionTimeout, and kills the handler.
var ErrHung = errors.New("the answer was empty or null, so the invocation hung until functionTimeout and the host killed the handler")

// RunTimer invokes a timer function and reads the answer as the host does. Runs do not overlap.
// The logs of a failed run are lost, as with the host.
func (h *Host) RunTimer(ctx context.Context, function string, t Timer) (Answer, error) {
	h.timers.Lock()
	defer h.timers.Unlock()
	f, ok := h.root.Function(function)
	if !ok {
		return Answer{}, fmt.Errorf("there is no function %q in %s", function, h.Root)
	}
	binding, ok := f.trigger("timerTrigger")
	if !ok {
		return Answer{}, fmt.Errorf("the function %q has no timerTrigger", f.Name)
	}
	to, err := h.await(ctx)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.root.Host.FunctionTimeout, errFunctionTimeout)
	defer cancel()
	answer, err := h.invoke(ctx, to, f.Name, t.envelope(f.Name, binding.Name))
	if errors.Is(err, ErrHung) {
		<-ctx.Done()
	}
	if context.Cause(ctx) == errFunctionTimeout {
		h.replace(to)
		err = errors.Join(err, errFunctionTimeout)
	}
	return answer, err
}

// invoke posts an envelope, as ProcessDefaultInvocationRequest does.
func (h *Host) invoke(ctx context.Context, to *worker, function string, envelope map[string]any) (Answer, error) {
	payload, err := json.Marshal(envelope)
	if err != nil {
		return Answer{}, err
	}
	invocation := newInvocation()
	response, err := to.deliver(ctx, &delivery{
		method: http.MethodPost, target: "/" + function, host: to.address,
		header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "User-Agent": {userAgent},
			hostVersionHeader: {Version}, invocationIDHeader: {invocation},
		},
		// ObjectContent has no known length, so the body is sent in chunks.
		body: bytes.NewReader(payload), length: -1, hasContent: true,
	})
	if err != nil {
		return Answer{Invocation: invocation}, fmt.Errorf("the handler did not answer: %w", because(ctx, err))
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{Invocation: invocation}, fmt.Errorf("the handler did not answer: %w", because(ctx, err))
	}
	answer, err := readAnswer(response, content)
	answer.Invocation = invocation
	return answer, err
}

func readAnswer(response *http.Response, content []byte) (answer Answer, err error) {
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")) // "" is not JSON either
	text := strings.TrimSpace(string(content))
	switch {
	case response.StatusCode/100 != 2:
		return Answer{}, fmt.Errorf("the handler answered %s; the host discards the body and its logs", response.Status)
	case len(content) == 0, text == "null" && isJSON(mediaType):
		return Answer{}, ErrHung
	case !isJSON(mediaType):
		return Answer{}, fmt.Errorf("no MediaTypeFormatter is available to read %q", response.Header.Get("Content-Type"))
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return Answer{}, fmt.Errorf("invalid HttpResponseMessage: %w", err)
	}
	return answer, nil
}

// isJSON accepts the types of .NET's JsonMediaTypeFormatter.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == "text/json"
}

func (t Timer) envelope(function, binding string) map[string]any {
	metadata := map[string]any{
		"sys": map[string]any{"MethodName": function, "UtcNow": time.Now().UTC().Format(roundTrip), "RandGuid": newInvocation()},
	}
	if t.Retry > 0 {
		metadata["RetryContext"] = map[string]any{
			"RetryCount": t.Retry, "MaxRetryCount": t.Retry + 1, "Instance": nil, "State": map[string]any{},
			"Exception": map[string]any{
				"ClassName": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
				"Message":   "Exception while executing function: Functions." + function,
			},
		}
	}
	for name, value := range t.Metadata {
		if !strings.HasSuffix(strings.ToLower(name), "trigger") { // already in Data
			metadata[name] = envelopeValue(value)
		}
	}
	return map[string]any{"Data": map[string]any{binding: t.info()}, "Metadata": metadata}
}

// envelopeValue keeps objects. Every other value becomes a string that holds its JSON
// (ScriptInvocationContextExtensions.GetHttpScriptInvocationContextValue).
func envelopeValue(value any) any {
	payload, err := json.Marshal(value)
	if err != nil || len(payload) > 0 && payload[0] == '{' {
		return value
	}
	return string(payload)
}

const (
	roundTrip = "2006-01-02T15:04:05.9999999Z07:00" // .NET's DateTime
	offset    = "2006-01-02T15:04:05.9999999-07:00" // +00:00, where Go writes Z
	noOffset  = "2006-01-02T15:04:05.9999999"       // DateTimeKind.Unspecified
	interval  = time.Minute                         // any value works: the handler never sees the schedule
)

// info returns the JSON of .NET's TimerInfo.
func (t Timer) info() map[string]any {
	info := map[string]any{
		"Schedule":       map[string]any{"AdjustForDST": true},
		"ScheduleStatus": nil,
		"IsPastDue":      t.PastDue,
	}
	if t.NoStatus {
		return info
	}
	layout := offset
	if t.NoOffset {
		layout = noOffset
	}
	next := time.Now().Truncate(interval)
	if !t.PastDue {
		next = next.Add(interval)
	}
	info["ScheduleStatus"] = map[string]string{
		"Last":        t.Last.UTC().Format(layout),
		"Next":        next.UTC().Format(offset),
		"LastUpdated": t.Last.UTC().Format(layout),
	}
	return info
}
