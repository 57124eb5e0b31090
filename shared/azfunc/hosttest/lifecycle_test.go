package hosttest_test

import (
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/azfunc/hosttest"
)

// until waits for an action of another process.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not come about", what)
}

// DefaultHttpWorkerService.cs, IsWorkerReady: GET / every 25 ms until there is any answer, here a
// 418. Requests wait for it.
func TestAnyAnswerIsReady(t *testing.T) {
	both := map[string]string{"at once": "", "late": "late"}
	for name, start := range both {
		_, url := serve(t, proxying, "START="+start)
		if a := arrived(t, request(t, "GET", url+"/api/all", "")); a.Method != "GET" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// src/WebJobs.Script/Workers/Http/HttpWorkerChannel.cs, DelayUntilWokerInitialized: a handler
// that does not answer in time counts as an error and is killed.
func TestHandlersThatNeverAnswerAreErrors(t *testing.T) {
	host := &hosttest.Host{Settings: []string{"START=never"}, Root: scriptRoot(t, proxying, map[string]string{
		"host.json": `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}, "initializationTimeout": "00:00:00.1", ` + proxying + `}}`,
	})}
	hosttest.Serve(t, host)
	until(t, "the end of the host", func() bool { return host.Down() != nil })
	if host.Starts() != 3 || !strings.Contains(host.Down().Error(), "initializationTimeout") {
		t.Errorf("%d starts, %v", host.Starts(), host.Down())
	}
}

// HttpFunctionInvocationDispatcher.cs, ErrorEventsThreshold: the third error stops the host.
func TestThirdErrorStopsTheHost(t *testing.T) {
	host, url := serve(t, proxying, "START=exit2")
	until(t, "the end of the host", func() bool { return host.Down() != nil })
	if host.Starts() != 3 || !strings.Contains(host.Down().Error(), "code 2") {
		t.Errorf("%d starts, %v", host.Starts(), host.Down())
	}
	if response, _ := send(t, request(t, "GET", url+"/api/all", "")); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", response.Status)
	}
	if _, err := host.RunTimer(t.Context(), "timer", hosttest.Timer{}); err == nil {
		t.Error("a timer ran")
	}
}

// WorkerProcess.cs, OnProcessExited: 200 requests a restart and never counts as an error.
func TestExit200Restarts(t *testing.T) {
	host, url := serve(t, forwarding)
	for i := range 4 {
		send(t, request(t, "POST", url+"/api/exit?code=200", ""))
		until(t, "a restart", func() bool { return host.Starts() == i+2 })
	}
	if a := arrived(t, request(t, "GET", url+"/api/all", "")); a.Method != "GET" || host.Down() != nil {
		t.Errorf("%+v, %v", a, host.Down())
	}
}

// WorkerProcess.cs, OnProcessExited: on 0 the host does nothing, and every invocation fails.
func TestExit0IsForgotten(t *testing.T) {
	for _, mode := range []string{forwarding, proxying} {
		host, url := serve(t, mode)
		arrived(t, request(t, "GET", url+"/api/all", ""))
		for range 2 { // the first request finds the handler gone
			if response, _ := send(t, request(t, "POST", url+"/api/exit?code=0", "")); response.StatusCode != 500 {
				t.Errorf("%s", response.Status)
			}
		}
		if _, err := host.RunTimer(t.Context(), "timer", hosttest.Timer{}); err == nil {
			t.Error("a timer ran")
		}
		if host.Starts() != 1 || host.Down() != nil {
			t.Errorf("%d starts, %v", host.Starts(), host.Down())
		}
	}
}

// src/WebJobs.Script/Workers/ProcessManagement/WorkerProcess.cs, OnProcessExited, for an exit
// code other than 0 and 200: a crash ends the requests in flight and is counted.
func TestKillIsCounted(t *testing.T) {
	host, url := serve(t, proxying)
	for i := range 2 {
		arrived(t, request(t, "GET", url+"/api/all", ""))
		host.Kill()
		until(t, "a restart", func() bool { return host.Starts() == i+2 })
	}
	arrived(t, request(t, "GET", url+"/api/all", ""))
	host.Kill()
	until(t, "the end of the host", func() bool { return host.Down() != nil })
}

// WebScriptHostExceptionHandler.cs, RestartWorkerWithInvocationIdAsync: a restart by the host
// itself is not counted. No SIGTERM precedes it (Azure/Azure-Functions issue 2490).
func TestRestartIsNotCounted(t *testing.T) {
	host, url := serve(t, proxying)
	for range 5 {
		pid := host.PID()
		arrived(t, request(t, "GET", url+"/api/all", ""))
		host.Restart()
		if host.PID() == pid {
			t.Fatal("the same process")
		}
	}
	if a := arrived(t, request(t, "GET", url+"/api/all", "")); a.Method != "GET" || host.Down() != nil || host.Starts() != 6 {
		t.Errorf("%+v, %v, %d starts", a, host.Down(), host.Starts())
	}
}

// HttpFunctionInvocationDispatcher.cs, InitializeAsync: no functions, no handler.
func TestNoFunctionsNoHandler(t *testing.T) {
	dir := t.TempDir()
	hostJSON := `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}}}`
	if err := os.WriteFile(dir+"/host.json", []byte(hostJSON), 0o644); err != nil {
		t.Fatal(err)
	}
	host := &hosttest.Host{Root: dir}
	url := hosttest.Serve(t, host)
	if host.Starts() != 0 || host.PID() != 0 {
		t.Errorf("%d starts", host.Starts())
	}
	if response, _ := send(t, request(t, "GET", url+"/api/all", "")); response.StatusCode != 404 {
		t.Errorf("%s", response.Status)
	}
}

// WorkerProcess.cs, OnOutputDataReceived and ParseErrorMessageAndLog: lines on stdout are
// information; lines on stderr are errors unless they say "warn".
func TestStderrLinesAreErrors(t *testing.T) {
	var mu sync.Mutex
	var lines []hosttest.Line
	host := &hosttest.Host{Root: scriptRoot(t, proxying, nil), Console: func(line hosttest.Line) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}}
	url := hosttest.Serve(t, host)
	arrived(t, request(t, "GET", url+"/api/all", ""))
	for _, want := range []hosttest.Line{
		{Level: slog.LevelInfo, Text: "listening"},
		{Level: slog.LevelWarn, Text: "a Warning"},
		{Level: slog.LevelError, Text: "something else"},
	} {
		until(t, want.Text, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(lines, want)
		})
	}
}
