package cmd_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/date"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store/bolt"
)

const (
	// sweepDue is how many links of a table are due: of 100,000 secrets that last a year, this
	// many expire on one day.
	sweepDue = 274
	// sweepTurns is how often a sweep is measured.
	sweepTurns = 15
)

// countingStore is a store that counts a sweep's requests.
type countingStore struct {
	*bolt.Store
	due, reads, writes atomic.Int64
}

func (c *countingStore) Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error {
	return c.Store.Due(ctx, now, func(slug link.Slug) bool {
		c.due.Add(1)
		return yield(slug)
	})
}

func (c *countingStore) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	c.reads.Add(1)
	return c.Store.Get(ctx, slug)
}

func (c *countingStore) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	c.reads.Add(1)
	l, err := c.Store.Update(ctx, slug, change)
	if err == nil {
		c.writes.Add(1)
	}
	return l, err
}

// BenchmarkSweep fills the embedded store with 10,000, 100,000 and 1,000,000 links, of which 274
// are due, and sweeps each.
func BenchmarkSweep(b *testing.B) {
	var base time.Duration
	for _, links := range []int{10_000, 100_000, 1_000_000} {
		took, memory, c := sweepOf(b, links)
		if base == 0 {
			base = took
		}
		ratio := float64(took) / float64(base)
		per := int64(sweepTurns) * sweepDue
		what := fmt.Sprintf("sweep of %d links, 274 due", links)
		table.report(ratio <= 2, what+": time against 10,000 links", "≤ 2 ×", "%.2f × (%v, median of %d)", ratio, took.Round(10*time.Microsecond), sweepTurns)
		table.report(memory <= 64, what+": memory", "≤ 64 MB", "%.1f MB", memory)
		table.report(c.due.Load() == per && c.reads.Load() <= per, what+": rows read", "the 274 due ones, once each",
			"%d listed, %d read, %d written", c.due.Load()/sweepTurns, c.reads.Load()/sweepTurns, c.writes.Load()/sweepTurns)
	}
}

// sweepOf measures sweeps over this many links. It returns the median time, the peak memory in
// MB, and the requests to the store in all of them.
func sweepOf(b *testing.B, links int) (took time.Duration, memory float64, c *countingStore) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "links.db"), 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true, NoFreelistSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store, err := bolt.New(db)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	for i := range links {
		if err := store.Insert(b.Context(), expiringLink(i, now, links)); err != nil {
			b.Fatal(err)
		}
	}
	c = &countingStore{Store: store}
	quiet := slog.New(slog.DiscardHandler)
	service := link.New(link.Deps{Stores: c, Secrets: secrettest.New(), Log: quiet, Authority: func(fhir.BaseURL) string { return "" }})
	sweep := expiry.Sweep{Links: service, Cells: c, Log: quiet}
	var times []time.Duration
	for range sweepTurns {
		makeDueAgain(b, store, now, links)
		before := heap()
		start := time.Now()
		r, err := sweep.Run(b.Context())
		times = append(times, time.Since(start))
		if err != nil || r.Due != sweepDue || r.Done != sweepDue || r.Failed > 0 {
			b.Fatalf("%v, %v", r, err)
		}
		var after runtime.MemStats
		runtime.ReadMemStats(&after) // before any collection, because garbage counts
		memory = max(memory, float64(int64(after.HeapAlloc)-int64(before))/1e6)
	}
	return median(times), memory, c
}

// expiringLink returns the i-th link. 274 links are at a threshold, spread over the table, and
// the others are not due.
func expiringLink(i int, now time.Time, links int) link.Link {
	l := row(fmt.Sprintf("clinic-%07d", i), "link-x", "v")
	l.Secret.ExpiresOn = date.Of(now).AddDays(300)
	l.NoticeAt = now.AddDate(0, 6, 0)
	l.NextVerify = now.Add(time.Duration(1+i%86400) * time.Second).Add(24 * time.Hour)
	return l
}

// makeDueAgain makes the 274 links due again.
func makeDueAgain(b *testing.B, store *bolt.Store, now time.Time, links int) {
	b.Helper()
	for n := range sweepDue {
		slug := link.Slug(fmt.Sprintf("clinic-%07d", n*(links/sweepDue)))
		_, err := store.Update(b.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Secret.ExpiresOn = date.Of(now).AddDays(30)
			l.NoticedOn = date.Of(now).AddDays(-20)
			l.NoticeAt = date.Of(now).Time()
			return l, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
