package upstream

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"fhirlink/shared/eventlog"
)

// Service is an upstream service. The names appear in the log and in the health check; they
// contain no host, vault or account.
type Service string

// The services.
const (
	Identity  Service = "identity" // issues this program's tokens for vault and table
	Entra     Service = "entra"    // the authority: tokens for links, signing keys
	Vault     Service = "vault"
	Table     Service = "table"
	FHIR      Service = "fhir" // the FHIR server of any clinic
	Graph     Service = "graph"
	EventGrid Service = "eventgrid"
	Webhook   Service = "webhook" // the endpoint of any organization
)

// required lists the services that all links depend on. Each of the others belongs to an
// organization.
var required = []Service{Identity, Entra, Vault, Table}

// sightingAge is how long an observation of a service counts.
const sightingAge = 10 * time.Minute

// Services returns all services.
func Services() []Service {
	return []Service{Identity, Entra, Vault, Table, FHIR, Graph, EventGrid, Webhook}
}

// Watch observes the calls of one program. The zero Watch is ready to use.
type Watch struct {
	mu   sync.Mutex
	seen map[Service]map[string]sighting // by host: there may be several vaults
}

// sighting is the result of the latest call.
type sighting struct {
	at      time.Time
	reached bool
}

// Called notes one call to a host that began at start. status is that of the answer; err says why
// there was none.
func (w *Watch) Called(ctx context.Context, s Service, host string, start time.Time, status int, err error) {
	reached := err == nil && status < http.StatusInternalServerError && !locksOut(s, status)
	left := !reached && errors.Is(ctx.Err(), context.Canceled) // the caller has gone, which says nothing about s
	failed := !reached && !left || status == http.StatusTooManyRequests
	eventlog.Current(ctx).Called(string(s), time.Since(start), failed)
	if !left && slices.Contains(required, s) {
		w.record(s, host, reached)
	}
}

func (w *Watch) record(s Service, host string, reached bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[Service]map[string]sighting{}
	}
	if w.seen[s] == nil {
		w.seen[s] = map[string]sighting{}
	}
	w.seen[s][host] = sighting{time.Now(), reached}
}

// locksOut reports whether an answer refuses this program itself, because a role is missing or a
// network rule blocks it. A 403 from other services concerns a link.
func locksOut(s Service, status int) bool {
	return status == http.StatusForbidden && (s == Vault || s == Table)
}

// Reachable reports for each service that all links depend on whether its latest call reached it.
// An answer with a 5xx status, or one that refuses this program itself, does not count. If there
// are several vaults, each must be reachable. A service without a call in the last ten minutes is
// left out: its state is unknown, and Reachable makes no calls.
func (w *Watch) Reachable() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[string]bool{}
	for s, hosts := range w.seen {
		for _, seen := range hosts {
			if time.Since(seen.at) < sightingAge {
				before, told := known[string(s)]
				known[string(s)] = seen.reached && (before || !told)
			}
		}
	}
	return known
}

// Client returns a copy of c whose calls are watched as calls to s.
func (w *Watch) Client(s Service, c *http.Client) *http.Client {
	watched := *c
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	watched.Transport = transport{w, s, base}
	return &watched
}

type transport struct {
	watch   *Watch
	service Service
	base    http.RoundTripper
}

// RoundTrip makes the call.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := t.base.RoundTrip(r)
	status := 0
	if answer != nil {
		status = answer.StatusCode
	}
	t.watch.Called(r.Context(), t.service, r.URL.Host, start, status, err)
	return answer, err
}

// CloseIdleConnections is called by [http.Client.CloseIdleConnections].
func (t transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
