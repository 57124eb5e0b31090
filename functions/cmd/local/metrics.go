package main

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fhirlink/functions"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/upstream"
	"fhirlink/shared/verification"
)

// metricsPath shows the metrics in Prometheus's text format.
const metricsPath = "/metrics"

// metrics counts the events in the log. It is a [slog.Handler] beside the one that writes the
// lines. So the numbers here come from the same events that the alerts and the workbook count in
// the cloud, and no other code has to count.
type metrics struct {
	registry *prometheus.Registry

	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	refusals    *prometheus.CounterVec
	findings    *prometheus.CounterVec
	issued      *prometheus.CounterVec
	renewed     *prometheus.CounterVec
	calls       *prometheus.CounterVec
	failedCalls *prometheus.CounterVec
	callSeconds *prometheus.CounterVec
	sweeps      *prometheus.CounterVec
	swept       *prometheus.CounterVec
	trimmed     prometheus.Counter
	notices     prometheus.Counter
	succeeded   prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fhirlink_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("requests_total", "Requests that were answered.", "method", "route", "status")
	m.refusals = counter("refusals_total", "Requests that were refused or failed, by the code in the answer.", "code")
	m.findings = counter("findings_total", "What verifications, or Entra, had against links, by code; severity: failure, or warning of a link that works.", "code", "severity")
	m.issued = counter("tokens_issued_total", "Access tokens that were handed out; cached: from memory; previous: by the previous client secret.", "cached", "previous")
	m.renewed = counter("tokens_renewed_total", "Tokens that were renewed in the background before their end.", "renewed")
	m.calls = counter("upstream_calls_total", "Calls to services that fhirlink needs.", "service")
	m.failedCalls = counter("upstream_failed_calls_total", "Those of the calls that had no answer, a 5xx or 429.", "service")
	m.callSeconds = counter("upstream_call_seconds_total", "How long the calls took together.", "service")
	m.sweeps = counter("sweeps_total", "Runs of the timer; complete: all that was due was taken up.", "complete")
	m.swept = counter("sweep_links_total", "Links that runs of the timer were done with, failed on, or left for the next.", "result")
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fhirlink_request_duration_seconds", Help: "How long requests took."}, []string{"route"})
	m.notices = prometheus.NewCounter(prometheus.CounterOpts{Name: "fhirlink_sweep_notices_total", Help: "Notices that receivers have taken from runs of the timer."})
	m.trimmed = prometheus.NewCounter(prometheus.CounterOpts{Name: "fhirlink_trail_trimmed_total", Help: "Events that were removed from the trail because of their age."})
	m.succeeded = prometheus.NewGauge(prometheus.GaugeOpts{Name: "fhirlink_sweep_last_success_timestamp_seconds", Help: "The heartbeat: when a run of the timer last took up all that was due."})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "fhirlink_build_info", Help: "Which program this is; the value is always 1."}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.durations, m.notices, m.trimmed, m.succeeded, build)
	m.zero()
	return m
}

// zero shows every series whose labels are known before it counts, because a series that begins
// with its first event hides that event from rate().
func (m *metrics) zero() {
	for _, route := range (functions.Deps{}).Routes() {
		for _, status := range append(successes[route.Method], "500", "503") {
			m.requests.WithLabelValues(route.Method, route.Path, status)
		}
		m.durations.WithLabelValues(route.Path)
	}
	for _, code := range problem.Codes() {
		m.refusals.WithLabelValues(string(code))
	}
	for _, code := range oauth.Codes() {
		m.refusals.WithLabelValues(code)
	}
	for _, f := range verification.Failures() {
		for _, code := range append(f.Also, f.Code) {
			if !strings.Contains(code, "<") { // it stands for every other number of Entra
				m.findings.WithLabelValues(code, severity(f.Status == verification.Warn))
			}
		}
	}
	for _, service := range upstream.Services() {
		for _, counter := range []*prometheus.CounterVec{m.calls, m.failedCalls, m.callSeconds} {
			counter.WithLabelValues(string(service))
		}
	}
	for _, yes := range []string{"true", "false"} {
		m.issued.WithLabelValues(yes, "true")
		m.issued.WithLabelValues(yes, "false")
		m.renewed.WithLabelValues(yes)
		m.sweeps.WithLabelValues(yes)
	}
	for _, result := range sweepResults {
		m.swept.WithLabelValues(result)
	}
}

// successes are the statuses of requests that succeed, by method.
var successes = map[string][]string{
	http.MethodGet: {"200"}, http.MethodPost: {"200", "201"}, http.MethodPut: {"200"}, http.MethodPatch: {"200"}, http.MethodDelete: {"204"},
}

// sweepResults are what becomes of a link that is due, as fields of sweep.done.
var sweepResults = []string{"done", "failed", "left"}

func severity(warning bool) string {
	if warning {
		return "warning"
	}
	return "failure"
}

// counting returns a logger whose events are also counted.
func (m *metrics) counting(log *slog.Logger) *slog.Logger {
	return slog.New(slog.NewMultiHandler(log.Handler(), m))
}

// with answers metricsPath, and passes every other request to next.
func (m *metrics) with(next http.Handler) http.Handler {
	shown := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == metricsPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			shown.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Enabled implements [slog.Handler]: events have level Info or above.
func (m *metrics) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (m *metrics) Handle(_ context.Context, record slog.Record) error {
	e := event{}
	record.Attrs(func(a slog.Attr) bool {
		e[a.Key] = a.Value.Resolve()
		return true
	})
	switch record.Message {
	case "request":
		m.request(e)
	case "token.issued":
		m.issued.WithLabelValues(e.text("cached"), e.text("previous")).Inc()
	case "token.renewed":
		m.renewed.WithLabelValues(e.text("renewed")).Inc()
	case "sweep.done":
		m.sweep(e)
	}
	m.upstream(e)
	return nil
}

// WithAttrs implements [slog.Handler]. Attributes on every line are not counted.
func (m *metrics) WithAttrs([]slog.Attr) slog.Handler { return m }

// WithGroup implements [slog.Handler].
func (m *metrics) WithGroup(string) slog.Handler { return m }

func (m *metrics) request(e event) {
	m.requests.WithLabelValues(method(e.text("method")), e.text("route"), e.text("status")).Inc()
	m.durations.WithLabelValues(e.text("route")).Observe(e.number("ms") / 1000)
	if code := e.text("outcome"); code != "ok" {
		m.refusals.WithLabelValues(code).Inc()
	}
	if code := e.text("finding"); code != "" {
		m.findings.WithLabelValues(code, severity(e.text("warning") == "true")).Inc()
	}
}

func (m *metrics) sweep(e event) {
	m.sweeps.WithLabelValues(e.text("complete")).Inc()
	for _, result := range sweepResults {
		m.swept.WithLabelValues(result).Add(e.number(result))
	}
	m.notices.Add(e.number("notices"))
	m.trimmed.Add(e.number("trimmed"))
	if at, ok := e["succeededAt"]; ok {
		m.succeeded.Set(float64(at.Time().UnixMilli()) / 1000)
	}
}

// upstream counts the calls to other services that an event reports.
func (m *metrics) upstream(e event) {
	for name, counter := range map[string]*prometheus.CounterVec{"calls": m.calls, "failedCalls": m.failedCalls} {
		for _, a := range e.group(name) {
			counter.WithLabelValues(a.Key).Add(number(a.Value))
		}
	}
	for _, a := range e.group("callMs") {
		m.callSeconds.WithLabelValues(a.Key).Add(number(a.Value) / 1000)
	}
}

// event holds the attributes of a line.
type event map[string]slog.Value

func (e event) text(name string) string {
	if v, ok := e[name]; ok {
		return v.String()
	}
	return ""
}

func (e event) number(name string) float64 { return number(e[name]) }

func (e event) group(name string) []slog.Attr {
	if v := e[name]; v.Kind() == slog.KindGroup {
		return v.Group()
	}
	return nil
}

// number returns v as a number, or 0 if it is none.
func number(v slog.Value) float64 {
	switch v.Kind() {
	case slog.KindInt64:
		return float64(v.Int64())
	case slog.KindFloat64:
		return v.Float64()
	}
	return 0
}

// method replaces unknown methods, because clients could invent any number of labels, and each
// costs memory.
func method(m string) string {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	if slices.Contains(known, m) {
		return m
	}
	return "other"
}
