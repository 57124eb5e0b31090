package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
)

// censusRows is how many links one look at the metrics reads, so that it costs the same however
// many links there are.
const censusRows = 2000

var (
	linksGauge   = prometheus.NewDesc("fhirlink_links", "Links by status, as of the last complete count.", []string{"status"}, nil)
	secretsGauge = prometheus.NewDesc("fhirlink_link_secrets", "Client secrets and certificates of links by state, as of the last complete count.", []string{"state"}, nil)
)

// census counts links for the metrics. Every look goes on with the count where the last one ended:
// up to censusRows links are counted anew each time, more in several looks, and until then the last
// complete count is shown. It is a [prometheus.Collector].
type census struct {
	rows func(ctx context.Context, after link.Slug, limit int) (rows []link.Link, next link.Slug, err error)
	now  func() time.Time

	mu       sync.Mutex
	after    link.Slug
	counting count
	complete count
}

type count struct {
	statuses map[condition.Status]int
	states   map[link.SecretState]int
}

func newCount() count {
	c := count{map[condition.Status]int{}, map[link.SecretState]int{}}
	for _, s := range []condition.Status{condition.Active, condition.PendingAccess, condition.Degraded, condition.Broken, condition.Expired} {
		c.statuses[s] = 0
	}
	for _, s := range []link.SecretState{link.SecretOK, link.SecretExpiring, link.SecretExpired, link.SecretUnknown} {
		c.states[s] = 0
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *census) Describe(out chan<- *prometheus.Desc) {
	out <- linksGauge
	out <- secretsGauge
}

// Collect implements [prometheus.Collector]. Before the first complete count it shows nothing.
func (c *census) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.goOn(context.Background()); err != nil {
		out <- prometheus.NewInvalidMetric(linksGauge, err)
	}
	for status, n := range c.complete.statuses {
		out <- prometheus.MustNewConstMetric(linksGauge, prometheus.GaugeValue, float64(n), string(status))
	}
	for state, n := range c.complete.states {
		out <- prometheus.MustNewConstMetric(secretsGauge, prometheus.GaugeValue, float64(n), string(state))
	}
}

func (c *census) goOn(ctx context.Context) error {
	if c.after == "" {
		c.counting = newCount()
	}
	rows, next, err := c.rows(ctx, c.after, censusRows)
	if err != nil {
		return err
	}
	now := c.now()
	for _, l := range rows {
		if l.Phase == link.Live {
			c.counting.statuses[l.Status(now)]++
			c.counting.states[l.SecretState(now)]++
		}
	}
	if c.after = next; next == "" {
		c.complete = c.counting
	}
	return nil
}
