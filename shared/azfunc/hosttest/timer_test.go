package hosttest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/azfunc/hosttest"
)

// run invokes the function "timer" and returns what the handler received, with the parsed body.
func run(t *testing.T, timer hosttest.Timer) (arrival, map[string]any) {
	t.Helper()
	host, _ := serve(t, proxying)
	answer, err := host.RunTimer(t.Context(), "timer", timer)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(answer.Outputs["arrived"])
	if err != nil {
		t.Fatal(err)
	}
	var a arrival
	if err := json.Unmarshal(payload, &a); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatal(err)
	}
	return a, body
}

// path returns the value at a path such as Data timer IsPastDue.
func path(body map[string]any, path string) any {
	var value any = body
	for name := range strings.FieldsSeq(path) {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// src/WebJobs.Script/Workers/Http/DefaultHttpWorkerService.cs, ProcessDefaultInvocationRequest:
// POST /{function name}. ObjectContent has no length, so the body arrives in chunks.
func TestTimersArriveInChunks(t *testing.T) {
	a, _ := run(t, hosttest.Timer{})
	if a.Method != http.MethodPost || a.Target != "/timer" || a.Length != -1 || len(a.Encoding) != 1 || a.Encoding[0] != "chunked" {
		t.Errorf("%s %s, length %d, %v", a.Method, a.Target, a.Length, a.Encoding)
	}
	for name, want := range map[string]string{
		"Content-Type":                  "application/json; charset=utf-8",
		"User-Agent":                    "Azure-Functions-Host/" + hosttest.Version,
		"X-Azure-Functions-HostVersion": hosttest.Version,
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.Header.Get("X-Azure-Functions-InvocationId") == "" {
		t.Error("no invocation id")
	}
}

// src/WebJobs.Script/Workers/MessageExtensions/ScriptInvocationContextExtensions.cs,
// GetHttpScriptInvocationContextValue: every value except an object becomes a string of JSON.
// Names that end in "trigger" are left out.
func TestMetadataIsEncodedTwice(t *testing.T) {
	_, body := run(t, hosttest.Timer{Metadata: map[string]any{
		"number": 4, "text": "abc", "list": []int{1}, "object": map[string]int{"a": 1}, "TimerTrigger": "x",
	}})
	for at, want := range map[string]any{
		"Metadata number":         "4",
		"Metadata text":           `"abc"`,
		"Metadata list":           "[1]",
		"Metadata object a":       1.0,
		"Metadata TimerTrigger":   nil,
		"Metadata sys MethodName": "timer",
	} {
		if got := path(body, at); got != want {
			t.Errorf("%s: %#v, want %#v", at, got, want)
		}
	}
}

// Azure/azure-webjobs-sdk-extensions, src/WebJobs.Extensions/Extensions/Timers/TimerInfo.cs:
// there is no status without a monitor, or on a manual run before any other.
func TestScheduleStatusMayBeNull(t *testing.T) {
	_, body := run(t, hosttest.Timer{NoStatus: true})
	timer, ok := path(body, "Data timer").(map[string]any)
	if status, there := timer["ScheduleStatus"]; !ok || !there || status != nil {
		t.Errorf("Data: %v", body["Data"])
	}
}

// azure-webjobs-sdk-extensions, TimerInfo.cs (azure-functions-host issue 7391): the
// ScheduleStatus of a timer that never ran has dates that do not conform to RFC 3339.
// encoding/json cannot read them into a time.Time.
func TestNeverRunDatesMayHaveNoOffset(t *testing.T) {
	for timer, want := range map[hosttestTimer]string{
		{noOffset: true}:                       "0001-01-01T00:00:00",
		{}:                                     "0001-01-01T00:00:00+00:00",
		{last: "2026-11-22T06:00:00.0038121Z"}: "2026-11-22T06:00:00.0038121+00:00",
	} {
		_, body := run(t, timer.timer(t))
		if got := path(body, "Data timer ScheduleStatus Last"); got != want {
			t.Errorf("Last: %v, want %s", got, want)
		}
		next, _ := path(body, "Data timer ScheduleStatus Next").(string)
		if _, err := time.Parse(time.RFC3339, next); err != nil {
			t.Errorf("Next: %v", err)
		}
	}
}

// hosttestTimer is a Timer that can be a map key.
type hosttestTimer struct {
	noOffset bool
	last     string
}

func (h hosttestTimer) timer(t *testing.T) hosttest.Timer {
	t.Helper()
	timer := hosttest.Timer{NoOffset: h.noOffset}
	if h.last != "" {
		last, err := time.Parse(time.RFC3339Nano, h.last)
		if err != nil {
			t.Fatal(err)
		}
		timer.Last = last
	}
	return timer
}

// TimerInfo.cs and, in azure-webjobs-sdk, src/Microsoft.Azure.WebJobs.Host/RetryContext.cs.
func TestPastDueAndRetry(t *testing.T) {
	_, body := run(t, hosttest.Timer{PastDue: true, Retry: 2})
	if path(body, "Data timer IsPastDue") != true || path(body, "Metadata RetryContext RetryCount") != 2.0 {
		t.Errorf("%v", body)
	}
	_, body = run(t, hosttest.Timer{})
	if path(body, "Data timer IsPastDue") != false || path(body, "Metadata RetryContext") != nil {
		t.Errorf("%v", body)
	}
}

// DefaultHttpWorkerService.cs calls EnsureSuccessStatusCode before it reads body and logs (host
// issue 11086). A type that is not JSON has no formatter (host issue 6462).
func TestAnswersThatFail(t *testing.T) {
	host, _ := serve(t, proxying)
	for function, want := range map[string]string{
		"timer-fails":   "500",
		"timer-text":    "no MediaTypeFormatter",
		"timer-garbage": "invalid HttpResponseMessage",
		"nowhere":       `no function "nowhere"`,
		"all":           "no timerTrigger",
	} {
		answer, err := host.RunTimer(t.Context(), function, hosttest.Timer{})
		if err == nil || !strings.Contains(err.Error(), want) || len(answer.Logs) > 0 {
			t.Errorf("%s: %+v, %v, want %s", function, answer, err, want)
		}
	}
	if host.Starts() != 1 {
		t.Errorf("%d starts: a failed run does not cost the process", host.Starts())
	}
}

// DefaultHttpWorkerService.cs never sets a result that is null, so the invocation waits until its
// timeout. WebScriptHostExceptionHandler.cs then kills the handler.
func TestEmptyAndNullAnswersHang(t *testing.T) {
	host, _ := serve(t, proxying, impatient)
	for i, function := range []string{"timer-empty", "timer-null"} {
		start := time.Now()
		_, err := host.RunTimer(t.Context(), function, hosttest.Timer{})
		if !errors.Is(err, hosttest.ErrHung) || time.Since(start) < 400*time.Millisecond {
			t.Errorf("%s: %v after %v", function, err, time.Since(start))
		}
		if host.Starts() != i+2 {
			t.Errorf("%s: %d starts", function, host.Starts())
		}
	}
}

// src/WebJobs.Script/Workers/Http/DefaultHttpWorkerService.cs, ProcessLogsFromHttpResponse: the
// logs of an answer become lines of that invocation.
func TestLogsArrive(t *testing.T) {
	host, _ := serve(t, proxying)
	answer, err := host.RunTimer(t.Context(), "TIMER", hosttest.Timer{})
	if err != nil || len(answer.Logs) != 1 || answer.Logs[0] != "ran" || answer.Invocation == "" {
		t.Errorf("%+v, %v", answer, err)
	}
}

// Only this host ends with the context: the real one waits for functionTimeout.
func TestRunTimerHonoursItsContext(t *testing.T) {
	host := &hosttest.Host{Root: scriptRoot(t, proxying, nil), Settings: []string{"START=never"}}
	hosttest.Serve(t, host)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := host.RunTimer(ctx, "timer", hosttest.Timer{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
