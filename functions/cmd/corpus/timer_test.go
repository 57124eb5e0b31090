package corpus_test

import (
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
)

// TestTimer: every shape of invocation that the host is known to send is a run.
func TestTimer(t *testing.T) {
	cloudtest.LinuxOnly(t)
	host := functionsHost(t, cloudtest.Start(t), table(t))
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
}
