package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	storebolt "fhirlink/shared/store/bolt"
)

// metrics reads /metrics and returns the value of each series.
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

	if health := i.want(200, i.call("GET", "/api/health", "")); fmt.Sprint(health["reachable"]) != "map[entra:true]" {
		t.Errorf("health knows %v", health)
	}
	got := i.metrics()
	for series, want := range map[string]string{
		`fhirlink_requests_total{method="POST",route="/api/token",status="200"}`:   "3",
		`fhirlink_requests_total{method="POST",route="/api/token",status="400"}`:   "1",
		`fhirlink_requests_total{method="other",route="/api/links",status="405"}`:  "1",
		`fhirlink_request_duration_seconds_count{route="/api/token"}`:              "4",
		`fhirlink_refusals_total{code="invalid_target"}`:                           "1",
		`fhirlink_refusals_total{code="verification_failed"}`:                      "1",
		`fhirlink_refusals_total{code="method_not_allowed"}`:                       "1",
		`fhirlink_findings_total{code="metadata_html",severity="failure"}`:         "1",
		`fhirlink_links{status="active"}`:                                          "1",
		`fhirlink_links{status="broken"}`:                                          "0",
		`fhirlink_link_secrets{state="ok"}`:                                        "1",
		`fhirlink_link_secrets{state="expired"}`:                                   "0",
		`fhirlink_build_info{goversion="` + runtime.Version() + `",version="dev"}`: "1",
		`fhirlink_tokens_issued_total{cached="false",previous="false"}`:            "1",
		`fhirlink_tokens_issued_total{cached="true",previous="false"}`:             "2",
		`fhirlink_upstream_calls_total{service="entra"}`:                           "3", // openid-configuration, and two tokens
		`fhirlink_sweeps_total{complete="true"}`:                                   "1",
		`fhirlink_sweep_links_total{result="failed"}`:                              "0",
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

// TestMetricsFromTheStart: what can be counted is there before it is counted, as 0, and what
// clients choose is not.
func TestMetricsFromTheStart(t *testing.T) {
	got := start(t, t.TempDir(), nil).metrics()
	for _, series := range []string{
		`fhirlink_requests_total{method="POST",route="/api/token",status="200"}`, `fhirlink_requests_total{method="POST",route="/api/token",status="500"}`,
		`fhirlink_requests_total{method="DELETE",route="/api/links/{slug}",status="204"}`, `fhirlink_request_duration_seconds_count{route="/api/links/{slug}/report"}`,
		`fhirlink_refusals_total{code="verification_failed"}`, `fhirlink_refusals_total{code="invalid_grant"}`, `fhirlink_refusals_total{code="report_not_found"}`,
		`fhirlink_findings_total{code="aadsts_7000222",severity="failure"}`, `fhirlink_findings_total{code="write_403",severity="warning"}`,
		`fhirlink_findings_total{code="fhir_403_rbac",severity="failure"}`, `fhirlink_tokens_issued_total{cached="true",previous="false"}`,
		`fhirlink_tokens_renewed_total{renewed="false"}`, `fhirlink_upstream_calls_total{service="vault"}`, `fhirlink_upstream_failed_calls_total{service="entra"}`,
		`fhirlink_upstream_call_seconds_total{service="fhir"}`, `fhirlink_sweeps_total{complete="false"}`, `fhirlink_sweep_links_total{result="left"}`,
		`fhirlink_sweep_notices_total`, `fhirlink_trail_trimmed_total`, `fhirlink_links{status="pending_access"}`, `fhirlink_links{status="expired"}`,
		`fhirlink_link_secrets{state="unknown"}`, `fhirlink_link_secrets{state="expiring"}`,
	} {
		if got[series] != "0" {
			t.Errorf("%s is %q at the start, want 0", series, got[series])
		}
	}
}

// TestCensus: links by what they are now; a look at the metrics reads a bounded number of rows,
// and shows complete counts only.
func TestCensus(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	stores, err := storebolt.New(db)
	if err != nil {
		t.Fatal(err)
	}
	insert := func(n int, l link.Link) {
		t.Helper()
		for range n {
			l.Slug = link.Slug("clinic-" + strings.ToLower(rand.Text()))
			if err := stores.Insert(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
	}
	insert(3, link.Link{Phase: link.Live, Condition: condition.Condition{Health: condition.Active}, Secret: link.Secret{ExpiresOn: date.Of(now).AddDays(100)}})
	insert(2, link.Link{Phase: link.Live, Condition: condition.Condition{Health: condition.Active}, Secret: link.Secret{ExpiresOn: date.Of(now).AddDays(-1)}})
	insert(1, link.Link{Phase: link.Live, Condition: condition.Condition{Health: condition.PendingAccess}})
	insert(4, link.Link{Phase: link.Tombstone})
	read, largest := 0, 0
	c := &census{now: func() time.Time { return now }, rows: func(ctx context.Context, after link.Slug, limit int) ([]link.Link, link.Slug, error) {
		rows, next, err := stores.Rows(ctx, after, min(limit, 4))
		read, largest = read+len(rows), max(largest, len(rows))
		return rows, next, err
	}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	look := func() string {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range families {
			for _, m := range f.Metric {
				if n := m.GetGauge().GetValue(); n > 0 {
					all = append(all, fmt.Sprint(m.Label[0].GetValue(), "=", n))
				}
			}
		}
		return strings.Join(all, " ")
	}
	const want = "expired=2 ok=3 unknown=1 active=3 expired=2 pending_access=1"
	for i, expect := range []string{"", "", want, want, want, want} {
		if got := look(); got != expect {
			t.Errorf("look %d shows %q, want %q", i, got, expect)
		}
	}
	if read != 20 || largest != 4 {
		t.Errorf("6 looks read %d rows, %d at once, want 20, 4 at once", read, largest)
	}
}

// The guard refuses /metrics to pages of other origins, like everything else.
func TestMetricsAreGuarded(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	i.want(403, i.call("GET", metricsPath, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	i.want(404, i.call("POST", metricsPath, "{}"))
}

// Every number of an event, in its unit.
func TestMetricsOfEvents(t *testing.T) {
	m := newMetrics()
	log := slog.New(m)
	calls := func(key string, attrs ...any) slog.Attr { return slog.Group(key, attrs...) }
	log.Info("request", "method", "POST", "route", "/api/token", "status", 400, "outcome", "invalid_grant", "finding", "aadsts_7000222", "ms", 250.0,
		calls("calls", "entra", 2, "vault", 1), calls("failedCalls", "vault", 1), calls("callMs", "entra", 1500.0, "vault", 20.0))
	log.Info("request", "method", "POST", "route", "/api/register", "status", 201, "outcome", "ok", "finding", "write_403", "warning", true)
	log.Info("token.issued", "cached", true, "previous", true)
	log.Info("token.renewed", "renewed", false, calls("calls", "entra", 3))
	log.Info("call.late", calls("calls", "table", 1), calls("failedCalls", "table", 1))
	at := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	log.Info("sweep.done", "due", 9, "done", 4, "failed", 3, "left", 2, "notices", 7, "trimmed", 5, "complete", false, "succeededAt", at)
	log.Debug("request", "method", "GET", "route", "/", "status", 200, "outcome", "ok")
	log.Info("another event", "status", 500)

	i := &instance{Server: httptest.NewServer(m.with(http.NotFoundHandler())), t: t}
	t.Cleanup(i.Server.Close)
	got := i.metrics()
	want := map[string]string{
		`fhirlink_requests_total{method="POST",route="/api/token",status="400"}`:    "1",
		`fhirlink_request_duration_seconds_sum{route="/api/token"}`:                 "0.25",
		`fhirlink_request_duration_seconds_count{route="/api/token"}`:               "1",
		`fhirlink_refusals_total{code="invalid_grant"}`:                             "1",
		`fhirlink_findings_total{code="aadsts_7000222",severity="failure"}`:         "1",
		`fhirlink_findings_total{code="write_403",severity="warning"}`:              "1",
		`fhirlink_trail_trimmed_total`:                                              "5",
		`fhirlink_requests_total{method="POST",route="/api/register",status="201"}`: "1",
		`fhirlink_request_duration_seconds_count{route="/api/register"}`:            "1",
		`fhirlink_build_info{goversion="` + runtime.Version() + `",version="dev"}`:  "1",
		`fhirlink_tokens_issued_total{cached="true",previous="true"}`:               "1",
		`fhirlink_tokens_renewed_total{renewed="false"}`:                            "1",
		`fhirlink_upstream_calls_total{service="entra"}`:                            "5",
		`fhirlink_upstream_calls_total{service="vault"}`:                            "1",
		`fhirlink_upstream_calls_total{service="table"}`:                            "1",
		`fhirlink_upstream_failed_calls_total{service="vault"}`:                     "1",
		`fhirlink_upstream_failed_calls_total{service="table"}`:                     "1",
		`fhirlink_upstream_call_seconds_total{service="entra"}`:                     "1.5",
		`fhirlink_upstream_call_seconds_total{service="vault"}`:                     "0.02",
		`fhirlink_sweeps_total{complete="false"}`:                                   "1",
		`fhirlink_sweep_links_total{result="done"}`:                                 "4",
		`fhirlink_sweep_links_total{result="failed"}`:                               "3",
		`fhirlink_sweep_links_total{result="left"}`:                                 "2",
		`fhirlink_sweep_notices_total`:                                              "7",
		`fhirlink_sweep_last_success_timestamp_seconds`:                             strconv.FormatFloat(float64(at.Unix()), 'g', -1, 64),
	}
	for series, value := range got {
		if strings.HasPrefix(series, "fhirlink_") && !strings.Contains(series, "_bucket{") && want[series] != value && (want[series] != "" || value != "0") {
			t.Errorf("%s is %s, want %q", series, value, want[series])
		}
	}
	for series, value := range want {
		if got[series] != value {
			t.Errorf("%s is %q, want %s", series, got[series], value)
		}
	}
}
