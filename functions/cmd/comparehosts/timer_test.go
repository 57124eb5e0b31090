package comparehosts_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
)

// TestTimer: every known shape of the host's invocation is read and answered. All but the first come
// too soon to run the sweep.
func TestTimer(t *testing.T) {
	cloudtest.LinuxOnly(t)
	host := functionsHost(t, cloudtest.Start(t), table(t))
	output := &cloudtest.Output{}
	host.Console = func(line hosttest.Line) { fmt.Fprintln(output, line.Text) }
	hosttest.Serve(t, host)
	for name, timer := range map[string]hosttest.Timer{
		"as usual":              {Last: time.Now().Add(-time.Minute)},
		"the first":             {},
		"the first, no offsets": {NoOffset: true},
		"no status":             {NoStatus: true},
		"late":                  {PastDue: true},
		"after failed runs":     {Retry: 3},
		"more metadata":         {Metadata: map[string]any{"Number": 4, "Text": "x", "List": []string{"x"}, "RetryContext": "x"}},
	} {
		answer, err := host.RunTimer(t.Context(), "secret-expiry", timer)
		if err != nil || len(answer.Logs) == 0 || answer.Outputs == nil || answer.ReturnValue != nil {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
		if strings.Contains(strings.Join(answer.Logs, ""), "did not finish") {
			t.Errorf("%s: %q", name, answer.Logs)
		}
	}
	if host.Starts() != 1 {
		t.Errorf("%d starts", host.Starts())
	}
	// The log comes a little later than the answers.
	for range 500 {
		if strings.Count(output.String(), `"msg":"sweep.skipped"`) == 6 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for event, want := range map[string]int{"sweep.done": 1, "sweep.skipped": 6, "timer.late": 1, "timer.unreadable": 0} {
		if n := strings.Count(output.String(), `"msg":"`+event+`"`); n != want {
			t.Errorf("%d times %s, want %d", n, event, want)
		}
	}
}

// TestForgedTimer: a host that forwards can be made to send any path to the handler. None of the
// requests that arrive there as POST /secret-expiry runs the sweep.
func TestForgedTimer(t *testing.T) {
	cloudtest.LinuxOnly(t)
	host := functionsHost(t, cloudtest.Start(t), table(t), "AzureFunctionsJobHost__customHandler__enableProxyingHttpRequest=false")
	output := &cloudtest.Output{}
	host.Console = func(line hosttest.Line) { fmt.Fprintln(output, line.Text) }
	address := strings.TrimPrefix(hosttest.Serve(t, host), "http://")
	sent := 0
	for _, from := range []string{"links/", "links/a/", "directory/", "webhooks/", "webhooks/a/"} {
		for _, up := range []string{`..%5C`, `..%5c`, `..\`, `.%2e%5C`, `%2e%2E%5c`, `%252e%252e%5C`} {
			for depth := 2; depth <= 5; depth++ {
				for _, end := range []string{"", "?code=x", "%3Fa", "%23a"} {
					target := "/api/" + from + strings.Repeat(up, depth) + "secret-expiry" + end
					// The host itself may refuse the path. The handler never accepts it as the
					// timer's.
					if answer := post(t, address, target, "localhost"); !strings.HasPrefix(answer, "HTTP/1.1 404 ") {
						t.Errorf("%s: %.200s", target, answer)
					}
					sent++
				}
			}
		}
	}
	// A host without a front end believes a scheme in which there is a path.
	host.NoFrontEnd = true
	for _, line := range []string{"X-Forwarded-Proto: http://e/secret-expiry?", "DISGUISED-HOST: e/secret-expiry?"} {
		answer := post(t, address, "/api/health", "localhost\r\n"+line)
		if !strings.HasPrefix(answer, "HTTP/1.1 404 ") && !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("%s: %.200s", line, answer)
		}
		sent++
	}
	if answer, err := host.RunTimer(t.Context(), "secret-expiry", hosttest.Timer{}); err != nil || len(answer.Logs) != 1 {
		t.Errorf("the host's own call: %+v, %v", answer, err)
	}
	// The record of the first run holds the next one back, however it is called.
	if _, err := host.RunTimer(t.Context(), "secret-expiry", hosttest.Timer{}); err != nil {
		t.Error(err)
	}
	for range 500 { // the log comes a little later than the answers
		if strings.Contains(output.String(), `"msg":"sweep.skipped"`) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	log := output.String()
	if done, skipped := strings.Count(log, `"msg":"sweep.done"`), strings.Count(log, `"msg":"sweep.skipped"`); done != 1 || skipped != 1 {
		t.Errorf("after %d forged calls and 2 of the host, %d runs were made and %d were skipped", sent, done, skipped)
	}
}

// post sends a request with an unchanged target, which net/http's client would clean.
func post(t *testing.T, address, target, host string) (answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"Data":{"timer":{}}}`
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", target, host, len(body), body)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Proto + " " + response.Status + "\n" + string(content)
}
