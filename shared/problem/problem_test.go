package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/problem"
)

// TestUnavailableTellsWhatTheServiceSaid: its own Retry-After counts, within a bound, and a refusal
// of this program is the operator's to mend.
func TestUnavailableTellsWhatTheServiceSaid(t *testing.T) {
	cause := errors.New("canary")
	for _, tt := range []struct {
		cause error
		wait  time.Duration
		words string
	}{
		{nil, 5 * time.Second, "busy"},
		{cause, 5 * time.Second, "busy"},
		{fmt.Errorf("wrapped: %w", &problem.Upstream{RetryAfter: 7 * time.Second, Err: cause}), 7 * time.Second, "busy"},
		{&problem.Upstream{RetryAfter: time.Hour, Err: cause}, 2 * time.Minute, "busy"},
		{&problem.Upstream{Err: cause}, 5 * time.Second, "busy"},
		{&problem.Upstream{Denied: true, RetryAfter: time.Second, Err: cause}, time.Minute, "the operator has to correct the access"},
	} {
		e := problem.Unavailable(tt.cause, 5*time.Second, "busy")
		if e.Code != problem.UpstreamUnavailable || e.RetryAfter != tt.wait || !strings.Contains(e.Detail, tt.words) || strings.Contains(e.Detail, "canary") {
			t.Errorf("%v: %+v", tt.cause, e)
		}
		if tt.cause != nil && !errors.Is(e, tt.cause) {
			t.Errorf("%v is not in the chain", tt.cause)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "17": 17 * time.Second, " 17 ": 17 * time.Second, "-3": 0, "1.5": 0, "soon": 0,
		"99999999999999999999": 0, "86400": time.Hour,
		date.Add(time.Minute).Format(http.TimeFormat):      time.Minute,
		date.Add(-time.Minute).Format(http.TimeFormat):     0,
		date.Add(9999 * time.Hour).Format(http.TimeFormat): time.Hour,
	} {
		header := http.Header{"Date": {date.Format(http.TimeFormat)}, "Retry-After": {value}}
		if got := problem.RetryAfter(header); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}
