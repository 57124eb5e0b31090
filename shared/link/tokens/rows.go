package tokens

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/flight"
	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// CachedLinks bounds both caches, in entries. An entry holds a row (about 1 kB) or a token
// with its secret (about 3 kB): at most 12 kB per link, 120 MB in all.
const CachedLinks = 10_000

const (
	// rowFresh is how long a row serves token requests without being read again, and so how
	// soon every instance follows a change.
	rowFresh = 30 * time.Second
	// rowStale is how long it serves while the table cannot be reached.
	rowStale = 10 * time.Minute
	// readTimeout bounds a read of the table on behalf of token requests.
	readTimeout = 5 * time.Second
)

// Reader reads rows. [link.Store] is a Reader.
type Reader interface {
	Get(ctx context.Context, slug link.Slug) (link.Link, error)
}

// rowCache remembers rows.
type rowCache struct {
	store   Reader
	now     func() time.Time
	rows    *lru.Cache[link.Slug, cachedRow]
	flights flight.Group[link.Link]
	mu      sync.Mutex   // between changes and rows
	changes atomic.Int64 // calls of forget: what was read before one may be out of date
}

type cachedRow struct {
	link   link.Link
	readAt time.Time
}

func newRowCache(store Reader, now func() time.Time) *rowCache {
	return &rowCache{store: store, now: now, rows: newLRU[link.Slug, cachedRow]()}
}

func newLRU[K comparable, V any]() *lru.Cache[K, V] {
	c, err := lru.New[K, V](CachedLinks)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return c
}

// get returns a row at most rowFresh old, or rowStale while the table is out of reach. A row
// that is not there is never remembered, and neither is an error.
func (c *rowCache) get(ctx context.Context, slug link.Slug) (link.Link, error) {
	cached, ok := c.rows.Get(slug)
	age := c.now().Sub(cached.readAt)
	if ok && age < rowFresh {
		return cached.link, nil
	}
	before := c.changes.Load()
	l, err := c.flights.Do(ctx, string(slug), readTimeout, func(ctx context.Context) (link.Link, error) {
		return c.read(ctx, slug)
	})
	if _, still := c.rows.Peek(slug); !still && c.changes.Load() != before {
		ok = false // forgotten meanwhile
	}
	if ok && age < rowStale && err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
		return cached.link, nil
	}
	return l, err
}

// ahead begins to read a row for a get that will follow.
func (c *rowCache) ahead(ctx context.Context, slug link.Slug) {
	c.flights.Go(ctx, string(slug), readTimeout, func(ctx context.Context) (link.Link, error) {
		return c.read(ctx, slug)
	})
}

func (c *rowCache) read(ctx context.Context, slug link.Slug) (link.Link, error) {
	started := c.now()
	if cached, ok := c.rows.Get(slug); ok && started.Sub(cached.readAt) < rowFresh {
		return cached.link, nil // a flight that ended just now has read it
	}
	before := c.changes.Load()
	l, err := c.store.Get(ctx, slug)
	switch {
	case err == nil && l.Phase == link.Live:
		c.remember(slug, cachedRow{link: l, readAt: started}, before)
	case err == nil, errors.Is(err, store.ErrNotFound):
		c.rows.Remove(slug)
	}
	return l, err
}

// remember keeps a row, unless this instance has written any row since the read began. The row may
// be from before that write, and would still be served while the table is unavailable.
func (c *rowCache) remember(slug link.Slug, row cachedRow, before int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes.Load() == before {
		c.rows.Add(slug, row)
	}
}

// forget makes the next get read the table.
func (c *rowCache) forget(slug link.Slug) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes.Add(1)
	c.flights.Forget(string(slug))
	c.rows.Remove(slug)
}
