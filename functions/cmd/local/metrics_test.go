package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox"
)

// metrics reads /metrics, a value for each series.
func (i *instance) metrics() map[string]string {
	i.t.Helper()
	response, err := i.Client().Get(i.URL + metricsPath)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		i.t.Fatalf("%d %v %v", response.StatusCode, response.Header, err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if series, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && series != "#" {
			values[series] = value
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	i.want(201, i.call("POST", "/api/register", registration("good-health-clinic", "clinic", sandbox.Secret)))
	for range 3 {
		i.want(200, i.call("POST", "/api/token", `{"slug":"good-health-clinic"}`))
	}
	i.want(400, i.call("POST", "/api/token", `{"slug":"no-clinic"}`))
	i.want(422, i.call("POST", "/api/register", registration("other-clinic", "html", sandbox.Secret)))
	i.want(405, i.call("BREW", "/api/links", ""))
	i.sweepOnce()

	got := i.metrics()
	for series, want := range map[string]string{
		`fhirlink_requests_total{method="POST",route="/api/token",status="200"}`:  "3",
		`fhirlink_requests_total{method="POST",route="/api/token",status="400"}`:  "1",
		`fhirlink_requests_total{method="other",route="/api/links",status="405"}`: "1",
		`fhirlink_request_duration_seconds_count{route="/api/token"}`:             "4",
		`fhirlink_refusals_total{code="invalid_target"}`:                          "1",
		`fhirlink_refusals_total{code="verification_failed"}`:                     "1",
		`fhirlink_refusals_total{code="method_not_allowed"}`:                      "1",
		`fhirlink_findings_total{code="metadata_html"}`:                           "1",
		`fhirlink_tokens_issued_total{cached="false",previous="false"}`:           "1",
		`fhirlink_tokens_issued_total{cached="true",previous="false"}`:            "2",
		`fhirlink_upstream_calls_total{service="entra"}`:                          "4", // two for each of two tokens
		`fhirlink_sweeps_total{complete="true"}`:                                  "1",
		`fhirlink_sweep_links_total{result="failed"}`:                             "0",
	} {
		if got[series] != want {
			t.Errorf("%s is %q, want %s", series, got[series], want)
		}
	}
	for _, series := range []string{
		`fhirlink_upstream_calls_total{service="fhir"}`, `fhirlink_upstream_call_seconds_total{service="entra"}`,
		"fhirlink_sweep_last_success_timestamp_seconds", "go_goroutines",
	} {
		if got[series] == "" || got[series] == "0" {
			t.Errorf("%s is %q", series, got[series])
		}
	}
	for series := range got {
		if strings.Contains(series, "BREW") || strings.Contains(series, "good-health-clinic") {
			t.Errorf("what clients choose is a label: %s", series)
		}
	}
}

// What the program's guard keeps from pages of others, it keeps from them here too.
func TestMetricsAreGuarded(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	i.want(403, i.call("GET", metricsPath, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	i.want(404, i.call("POST", metricsPath, "{}"))
}
