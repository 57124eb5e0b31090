package comparehosts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/awslambda"
)

// scheduled holds an event of each kind of schedule. EventBridge Scheduler writes detail as a
// string.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
var scheduled = map[string]json.RawMessage{
	"EventBridge rule": json.RawMessage(`{
		"version": "0", "id": "b1f3c7a2-5d7e-4a41-9a55-0f1f0c5f7d11", "detail-type": "Scheduled Event", "source": "aws.events",
		"account": "123456789012", "time": "2026-11-23T06:01:00Z", "region": "eu-west-1",
		"resources": ["arn:aws:events:eu-west-1:123456789012:rule/fhirlink-sweep"], "detail": {}}`),
	"EventBridge Scheduler": json.RawMessage(`{
		"version": "0", "id": "6a0c3a5e-2c4b-4d0e-8f2a-2f6c1c1e9b37", "detail-type": "Scheduled Event", "source": "aws.scheduler",
		"account": "123456789012", "time": "2026-11-23T06:01:00Z", "region": "eu-west-1",
		"resources": ["arn:aws:scheduler:eu-west-1:123456789012:schedule/default/fhirlink-sweep"], "detail": "{}"}`),
}

// must makes the function handle an event, without an error.
func (f *function) must(t *testing.T, event any) string {
	t.Helper()
	result, err := f.invoke(event)
	if err != nil || result.failed {
		t.Fatalf("the invocation failed: %v, %s", err, result.body)
	}
	return string(result.body)
}

// mustFail makes the function handle an event, and wants an error that contains all of says.
func (f *function) mustFail(t *testing.T, event any, says ...string) {
	t.Helper()
	result, err := f.invoke(event)
	var report struct{ ErrorMessage, ErrorType string }
	if err != nil || !result.failed || json.Unmarshal(result.body, &report) != nil || report.ErrorType == "" {
		t.Fatalf("no error was reported: %v, failed %v: %s", err, result.failed, result.body)
	}
	for _, want := range says {
		if !strings.Contains(report.ErrorMessage, want) {
			t.Errorf("it does not say %q: %s", want, result.body)
		}
	}
	if strings.Contains(string(result.body), "canary") {
		t.Errorf("the answer shows a secret: %s", result.body)
	}
}

// sweeps counts the runs of the timer's job in the log: those that handled everything due, and
// the others. Every line belongs to an invocation, in its trace.
func (f *function) sweeps(t *testing.T) (complete, failed int) {
	t.Helper()
	for line := range strings.Lines(f.stdout.String()) {
		var event struct {
			Msg, Invocation, Trace string
			Complete               bool
		}
		if json.Unmarshal([]byte(line), &event) != nil || event.Msg != "sweep.done" {
			continue
		}
		if event.Complete {
			complete++
		} else {
			failed++
		}
		if event.Invocation != "8476a536-e9f4-11e8-9739-2dfe598c3fcd" || event.Trace != "5759e988bd862e3fe1be46a994272793" {
			t.Errorf("whose line is this? %s", line)
		}
	}
	return complete, failed
}

// awaitSweeps waits for this many runs. The function writes its log before it answers, but the
// log takes a moment to arrive here.
func (f *function) awaitSweeps(t *testing.T, wantComplete, wantFailed int) {
	t.Helper()
	complete, failed := f.sweeps(t)
	for wait := 0; complete+failed < wantComplete+wantFailed && wait < 500; wait++ {
		time.Sleep(10 * time.Millisecond)
		complete, failed = f.sweeps(t)
	}
	if complete != wantComplete || failed != wantFailed {
		t.Errorf("%d complete sweeps and %d others, want %d and %d:\n%s", complete, failed, wantComplete, wantFailed, f.stdout)
	}
}

// health returns a request that needs nothing but the program.
func health() map[string]any {
	return urlEvent(httptest.NewRequest("GET", "/api/health", nil), nil)
}

// TestLambdaSchedule: either schedule runs the sweep and gets null as its answer. When the table
// fails, the invocation fails, so that AWS counts and retries it. The next one works again.
func TestLambdaSchedule(t *testing.T) {
	cloudtest.LinuxOnly(t)
	broken, connection := breakable(t, table(t))
	f := startFunction(t, cloudtest.Start(t), connection)
	complete, failed := 0, 0
	sweep := func(t *testing.T, event json.RawMessage) {
		t.Helper()
		complete++
		if answer := f.must(t, event); answer != "null" {
			t.Errorf("the answer is %s", answer)
		}
		f.awaitSweeps(t, complete, failed)
	}
	for name, event := range scheduled {
		t.Run(name, func(t *testing.T) {
			sweep(t, event)
			broken.Store(true)
			f.mustFail(t, event, "table of links did not answer", "next run looks again")
			failed++
			broken.Store(false)
			sweep(t, event)
		})
	}
	f.must(t, health())
}

// breakable puts a proxy in front of a table service that answers in its place while broken is
// set. It returns the connection string for the proxy.
func breakable(t *testing.T, connection string) (broken *atomic.Bool, _ string) {
	t.Helper()
	broken = &atomic.Bool{}
	origin := regexp.MustCompile(`http://[^/;]+`).FindString(connection)
	to, err := url.Parse(origin)
	if err != nil || origin == "" {
		t.Fatalf("there is no table service in %q: %v", connection, err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return broken, strings.Replace(connection, origin, server.URL, 1)
}

// TestLambdaUnknownEvents: an unsupported event gets an error that lists the supported ones, and
// says nothing more.
func TestLambdaUnknownEvents(t *testing.T) {
	cloudtest.LinuxOnly(t)
	f := startFunction(t, cloudtest.Start(t), table(t))
	for name, event := range map[string]string{
		"an object in a bucket":        `{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"canary"}}}]}`,
		"another event of EventBridge": `{"version":"0","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{"canary":1}}`,
		"a REST API's request":         `{"version":"1.0","resource":"/{proxy+}","path":"/api/health","httpMethod":"GET","headers":{"x":"canary"},"requestContext":{"stage":"prod"}}`,
		"the console's test event":     `{"key1":"canary","key2":"value2"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f.mustFail(t, json.RawMessage(event), "neither an HTTP request in payload format 2.0 nor a scheduled event",
				"Function URL", "API Gateway HTTP API", "EventBridge schedule")
			f.must(t, health())
		})
	}
	t.Run("no object", func(t *testing.T) {
		f.mustFail(t, json.RawMessage(`["canary"]`), "not a JSON object")
		f.must(t, health())
	})
	if n, m := f.sweeps(t); n+m > 0 {
		t.Errorf("%d sweeps ran", n+m)
	}
}

// TestLambdaDeadline: a request that would exceed Lambda's limit is answered in time.
func TestLambdaDeadline(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud := cloudtest.Start(t)
	f := startFunction(t, cloud, table(t))
	registration := cloud.Registration("slow-clinic")
	registration["fhirServerUrl"], registration["audience"] = cloud.Server("slow")
	body, err := json.Marshal(registration)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/api/register", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+cloud.App(cloudtest.Tenant, manager))
	f.must(t, health())
	const patience = 3 * time.Second
	f.patience.Store(int64(patience))
	start := time.Now()
	answer := f.must(t, urlEvent(r, body))
	// The tests of functions/cmd/lambda check the margin, with their own clock. Without it this
	// would take the FHIR server's ten seconds.
	if took := time.Since(start); took > 2*patience || !strings.Contains(answer, `"statusCode":503`) {
		t.Errorf("after %v: %s", took, answer)
	}
}

// TestLambdaPanic: aws-lambda-go ends the process after a panic, but awslambda.Handler turns it
// into a failed invocation. No known request makes cmd/lambda panic, and httpx.Handle would
// answer it with 500 first. So this test runs another program in the same loop: see panics.
func TestLambdaPanic(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := invoked(t, path, nil)
	f.mustFail(t, urlEvent(httptest.NewRequest("GET", "/panic", nil), nil), "panicked")
	for _, event := range scheduled {
		f.mustFail(t, event, "panicked")
	}
	if answer := f.must(t, health()); !strings.Contains(answer, "still here") {
		t.Error(answer)
	}
}

// TestLambdaAnswers: answers that cmd/lambda never gives, binary bodies and cookies, also pass
// through the loop.
func TestLambdaAnswers(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	url := serveEvents(t, invoked(t, path, nil), urlEvent)
	answer, err := http.Get(url + "/bytes")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Equal(body, binaryBody) || !slices.Equal(answer.Header.Values("Set-Cookie"), []string{"a=1", "b=2"}) || answer.Header.Get("X-Several") != "1, 2" {
		t.Errorf("%q, %v, %v", body, answer.Header, err)
	}
}

// TestLambdaRequests: parts of a request that cmd/lambda never reads, cookies and the caller's
// address, also pass through the loop.
func TestLambdaRequests(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	answer := invoked(t, path, nil).must(t, gatewayEvent(httptest.NewRequest("GET", "/", nil), nil))
	want := "with session=canary-cookie; second=v2 from " + net.JoinHostPort(callerAddress, "0")
	if !strings.Contains(answer, want) {
		t.Errorf("%s, want %q", answer, want)
	}
}

// binaryBody is not UTF-8.
var binaryBody = []byte{0xff, 0x00, 0xfe, '"'}

// panicFunction runs this test's binary as a Lambda function; TestMain calls it.
func panicFunction() {
	lambda.Start(awslambda.Handler{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("canary")
			case "/bytes":
				w.Header()["Set-Cookie"], w.Header()["X-Several"] = []string{"a=1", "b=2"}, []string{"1", "2"}
				_, _ = w.Write(binaryBody) // into memory
			default:
				_, _ = fmt.Fprintf(w, "still here, with %s from %s", r.Header.Get("Cookie"), r.RemoteAddr) // into memory
			}
		}),
		Schedule: func(context.Context) error { panic(errors.New("canary")) },
	}.Invoke)
}
