package secretexpiry_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/expiry"

	secretexpiry "fhirlink/functions/secret-expiry"
)

const invocation = `{"Data":{"timer":{"ScheduleStatus":null,"IsPastDue":%t}},"Metadata":{"sys":{"MethodName":"secret-expiry"}}}`

func run(t *testing.T, sweep func(context.Context) (expiry.Result, error), body string) (answer, log string) {
	t.Helper()
	var out bytes.Buffer
	h := secretexpiry.Handler{Sweep: sweep, Log: eventlog.New(&out, nil)}
	w := httptest.NewRecorder()
	if err := h.Run(w, httptest.NewRequestWithContext(t.Context(), "POST", "/secret-expiry", strings.NewReader(body))); err != nil {
		t.Fatal(err)
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	return w.Body.String(), out.String()
}

func TestRun(t *testing.T) {
	done := expiry.Result{Due: 3, Done: 2, Failed: 1}
	line := `"secret-expiry: the run has ended. The log has sweep.done, which says what was done, or sweep.skipped."`
	unfinished := `"secret-expiry: the run did not finish; what is left is handled by the next one. The log has the cause."`
	tests := []struct {
		name, body string
		sweep      func(context.Context) (expiry.Result, error)
		logs       string // of the answer
		logged     string // on stdout
	}{
		{
			"done", strings.Replace(invocation, "%t", "false", 1),
			func(context.Context) (expiry.Result, error) { return done, nil }, line, "",
		},
		{
			"late", strings.Replace(invocation, "%t", "true", 1),
			func(context.Context) (expiry.Result, error) { return done, nil }, line, "timer.late",
		},
		{
			"failed", strings.Replace(invocation, "%t", "false", 1),
			func(context.Context) (expiry.Result, error) { return done, errors.New("no index") }, unfinished, "", // Sweep.Run logs the error
		},
		{
			"panicked", strings.Replace(invocation, "%t", "false", 1),
			func(context.Context) (expiry.Result, error) { panic("canary") }, unfinished, `"msg":"panic","route":"/secret-expiry","type":"string"`,
		},
		{
			"unreadable", "",
			func(context.Context) (expiry.Result, error) { return done, nil }, line, "timer.unreadable",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, log := run(t, tt.sweep, tt.body)
			if want := `{"Outputs":{},"Logs":[` + tt.logs + `],"ReturnValue":null}` + "\n"; answer != want {
				t.Errorf("%s, want %s", answer, want)
			}
			if tt.logged == "" && log != "" || !strings.Contains(log, tt.logged) || strings.Contains(answer+log, "canary") {
				t.Errorf("logged %q, want %q", log, tt.logged)
			}
		})
	}
}

func TestRunIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		answer, _ := run(t, func(ctx context.Context) (expiry.Result, error) {
			<-ctx.Done()
			return expiry.Result{}, ctx.Err()
		}, "{}")
		if took := time.Since(start); took != 50*time.Second || !strings.Contains(answer, "did not finish") {
			t.Errorf("ended after %s with %s", took, answer)
		}
	})
}
