package cmd_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/link"
)

// wait is how long each service takes to answer in BenchmarkUpstream. It is far longer than all of
// our own work, so that the time of a request tells how many answers it waited for in a row.
const wait = 100 * time.Millisecond

// asked counts the requests to each service.
type asked struct {
	mu    sync.Mutex
	calls map[string]int
}

func (a *asked) call(service string) {
	time.Sleep(wait)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[service]++
}

// take returns the counts since the last call, and forgets them.
func (a *asked) take() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = map[string]int{}
	return calls
}

// BenchmarkUpstream counts what a token costs at other services: the first one after a start, one for
// another link of the same tenant, a warm one, and one when the row is read anew. It also tells how
// many of the answers are waited for one after the other.
func BenchmarkUpstream(b *testing.B) {
	s := newService(b, cloudtest.Secret)
	a := &asked{calls: map[string]int{}}
	s.entra.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		a.call(map[bool]string{true: "tokens", false: "metadata"}[r.Method == http.MethodPost]) // metadata: keys, openid-configuration
		return false
	}
	s.vault.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		a.call("vault")
		return false
	}
	s.stores.Fault = func(_ string, _ link.Slug, before bool) error {
		if before {
			a.call("table")
		}
		return nil
	}
	const other = "other-clinic"
	s.link(b, other)
	a.take()
	for _, c := range []struct {
		what, slug string
		skew       time.Duration
		rounds     int
		want       map[string]int
	}{
		{"first after a start", slug, 0, 5, map[string]int{"metadata": 2, "tokens": 1, "vault": 1, "table": 2}},
		{"of another link of the tenant", other, 0, 4, map[string]int{"tokens": 1, "vault": 1, "table": 2}},
		{"warm", slug, 0, 0, map[string]int{}},
		{"when the row is 30 s old", slug, 31 * time.Second, 1, map[string]int{"table": 1}},
	} {
		s.skew.Store(int64(c.skew))
		w, start := httptest.NewRecorder(), time.Now()
		s.handler.ServeHTTP(w, requestFor(b.Context(), "http://localhost", s.caller, c.slug))
		rounds := int((time.Since(start) + wait/2) / wait)
		calls := a.take()
		table.report(w.Code == http.StatusOK && fmt.Sprint(calls) == fmt.Sprint(c.want) && rounds <= c.rounds, "token, "+c.what+": requests upstream",
			fmt.Sprintf("these, ≤ %d in a row", c.rounds), "%s, %d in a row", cmp.Or(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(calls), "map["), "]"), "none"), rounds)
	}
}
