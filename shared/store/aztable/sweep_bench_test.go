package aztable

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"golang.org/x/sync/errgroup"

	"fhirlink/shared/date"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/secret/secrettest"
)

// tally counts requests by kind, and the rows in the answers to range queries.
type tally struct {
	mu                   sync.Mutex
	ranges, points, rows int
	writes, cells        int
}

func (c *tally) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close() // it was read to its end
	response.Body = io.NopCloser(bytes.NewReader(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Has("$filter"):
		c.ranges++
		c.rows += bytes.Count(body, []byte(`"RowKey"`))
	case strings.HasSuffix(r.URL.Path, "$batch"):
		c.writes++
	case strings.Contains(r.URL.Path, "RowKey='L_"):
		c.points++
	default:
		c.cells++
	}
	return response, nil
}

// BenchmarkSweepRequests counts the requests of a sweep over 100,000 links when 274 are due: 64
// range queries, which return due rows only, and one read for each due link. It needs Azurite;
// without it, the benchmark uses 2,000 links.
func BenchmarkSweepRequests(b *testing.B) {
	const due = 274
	links := 100_000
	if os.Getenv("AZURITE_TABLE_CONNECTION_STRING") == "" {
		links = 2_000
	}
	tb := newTable(b)
	now := time.Now()
	fill100(b, tb, links, due, now)
	c := &tally{}
	store := tb.store(c)
	quiet := slog.New(slog.DiscardHandler)
	service := link.New(link.Deps{Stores: store, Secrets: secrettest.New(), Log: quiet, Authority: func(fhir.BaseURL) string { return "" }})
	start := time.Now()
	r, err := expiry.Sweep{Links: service, Cells: store, Log: quiet}.Run(b.Context())
	took := time.Since(start)
	if err != nil || r.Due != due || r.Done != due || r.Failed > 0 {
		b.Fatalf("%v, %v", r, err)
	}
	fmt.Printf("sweep of %d links, %d due, in a table: %d range requests returned %d rows, %d reads of links, %d writes, %d requests for the lease, %v\n",
		links, due, c.ranges, c.rows, c.points, c.writes, c.cells, took.Round(time.Millisecond))
	if c.ranges > shards || c.rows > due || c.points > due || c.writes > due {
		b.Errorf("the bounds are %d ranges, %d rows, %d reads and %d writes", shards, due, due, due)
	}
}

// BenchmarkTrimRequests counts the requests of a run that looks at 64 trails of 100 events, of which
// 2 are too old: two range queries for each trail, which return one row and what is old, and one
// transaction.
func BenchmarkTrimRequests(b *testing.B) {
	const trails, long, old = 64, 100, 2
	tb := newTable(b)
	now := time.Now()
	clean := tb.store(http.DefaultTransport)
	var group errgroup.Group
	group.SetLimit(8)
	for i := range trails {
		group.Go(func() error {
			for j := range long {
				at := now.Add(-time.Duration(j) * time.Hour)
				if j < old {
					at = now.AddDate(-2, 0, -j)
				}
				e := trail.Event{ID: trail.ID(at, "x"), At: at, Organization: organization, Slug: fmt.Sprintf("clinic-%02d", i), Action: trail.TokenIssued, Outcome: trail.OK}
				if err := clean.Append(b.Context(), e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	c := &tally{}
	store := tb.store(c)
	start := time.Now()
	removed, err := trail.Trimmer{Store: store, Cells: store}.Trim(b.Context())
	took := time.Since(start)
	if err != nil || removed != trails*old {
		b.Fatalf("%d, %v", removed, err)
	}
	fmt.Printf("trim of %d trails of %d events, %d of each too old: %d range requests returned %d rows, %d transactions, %d requests for the round, %v\n",
		trails, long, old, c.ranges, c.rows, c.writes, c.cells, took.Round(time.Millisecond))
	if c.ranges > 2*trails || c.rows > trails*(1+old) || c.writes > trails {
		b.Errorf("the bounds are %d ranges, %d rows and %d transactions", 2*trails, trails*(1+old), trails)
	}
}

// fill100 inserts links in transactions of 100 actions: 50 links, each with its row in the index.
func fill100(b *testing.B, tb table, links, due int, now time.Time) {
	b.Helper()
	s := tb.store(http.DefaultTransport)
	if err := s.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	pending := map[string][]aztables.TransactionAction{}
	var group errgroup.Group
	group.SetLimit(8)
	submit := func(shard string) {
		actions := pending[shard]
		pending[shard] = nil
		if len(actions) > 0 {
			group.Go(func() error { return s.submit(b.Context(), actions) })
		}
	}
	for i := range links {
		l := clinic()
		l.Slug = link.Slug(fmt.Sprintf("clinic-%06d", i))
		l.Health, l.VerifiedAt, l.NextVerify = condition.Active, now, now.Add(time.Duration(24+i%24)*time.Hour)
		l.Secret = link.Secret{Name: "link-x", Version: "v", ExpiresOn: date.Of(now).AddDays(300)}
		if i%(links/due) == 0 && i/(links/due) < due {
			l.Secret.ExpiresOn, l.NoticedOn, l.NoticeAt = date.Of(now).AddDays(30), date.Of(now).AddDays(-20), date.Of(now).Time()
		}
		actions, err := linkTransaction(l.Slug, linkRow{}, newLinkRow(l, "OP"))
		if err != nil {
			b.Fatal(err)
		}
		shard := partitionOf(l.Slug)
		if pending[shard] = append(pending[shard], actions...); len(pending[shard]) > maxActions-2 {
			submit(shard)
		}
	}
	for shard := range pending {
		submit(shard)
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}
