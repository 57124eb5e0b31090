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

// Service is one that is called. The names are the log's and the health's; no host, vault or
// account is in them.
type Service string

// The services.
const (
	Identity  Service = "identity" // that which gives this program tokens for vault and table
	Entra     Service = "entra"    // the authority: tokens for links, signing keys
	Vault     Service = "vault"
	Table     Service = "table"
	FHIR      Service = "fhir" // any clinic's FHIR server
	Graph     Service = "graph"
	EventGrid Service = "eventgrid"
	Webhook   Service = "webhook" // any organization's
)

// own are the services that all links depend on; the others are somebody's.
var own = []Service{Identity, Entra, Vault, Table}

// fresh is how long what was seen of a service counts.
const fresh = 10 * time.Minute

// Watch sees the calls of one program. The zero Watch is ready.
type Watch struct {
	mu   sync.Mutex
	seen map[Service]map[string]sighting // by host: there may be several vaults
}

// sighting is what came of the latest call.
type sighting struct {
	at      time.Time
	reached bool
}

// Called notes one call to a host that began at start: status is that of the answer, err is why
// there was none.
func (w *Watch) Called(ctx context.Context, s Service, host string, start time.Time, status int, err error) {
	reached := err == nil && status < http.StatusInternalServerError && !locksOut(s, status)
	left := !reached && errors.Is(ctx.Err(), context.Canceled) // whoever asked has gone, which says nothing of s
	failed := !reached && !left || status == http.StatusTooManyRequests
	eventlog.Current(ctx).Called(string(s), time.Since(start), failed)
	if !left && slices.Contains(own, s) {
		w.see(s, host, reached)
	}
}

func (w *Watch) see(s Service, host string, reached bool) {
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

// locksOut tells whether an answer means that this program itself is refused: it lacks a role, or
// a network rule keeps it out. What others answer 403 to is a link's matter.
func locksOut(s Service, status int) bool {
	return status == http.StatusForbidden && (s == Vault || s == Table)
}

// Reachable tells of each service that all links depend on whether its latest call was
// answered, and neither with a 5xx status nor by locking this program out; of several vaults,
// whether that is so of each. A service that was not called in the last ten minutes is left out:
// nothing is known of it, and nobody is asked to find out.
func (w *Watch) Reachable() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[string]bool{}
	for s, hosts := range w.seen {
		for _, seen := range hosts {
			if time.Since(seen.at) < fresh {
				before, told := known[string(s)]
				known[string(s)] = seen.reached && (before || !told)
			}
		}
	}
	return known
}

// Client is a client like c whose calls are those to s.
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

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
