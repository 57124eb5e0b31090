package aztable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"golang.org/x/sync/errgroup"

	"fhirlink/shared/link"
)

// parallel is how many shards are read at a time.
const parallel = 8

// Due is link.Schedule's: in order of time over all shards. It makes one query for each
// shard, and one more for every 1,000 due links in one of them, once yield has come so far.
// A shard or an entry that cannot be read does not keep others from yield; Due then fails
// at its end.
func (s *Store) Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error {
	cursors := s.cursors(now)
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, c := range cursors {
		group.Go(func() error { c.fill(ctx); return nil })
	}
	_ = group.Wait() // each cursor has its own error
	var odd error
	for first := earliest(cursors); first != nil; first = earliest(cursors) {
		if ctx.Err() != nil {
			return explain(ctx, ctx.Err())
		}
		slug, err := dueSlug(first.next(ctx))
		if err != nil {
			odd = err
		} else if !yield(slug) {
			return nil
		}
	}
	return errors.Join(unread(cursors), odd)
}

// cursor reads the due rows of one shard page by page.
type cursor struct {
	pager *runtime.Pager[aztables.ListEntitiesResponse]
	keys  []string // of the page at hand, in order, that are not yet taken
	err   error
}

func (s *Store) cursors(now time.Time) []*cursor {
	end := dueBound(now.UnixMicro() + 1)
	cursors := make([]*cursor, shards)
	for i := range cursors {
		filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey ge 'X_' and RowKey lt '%s'", partition(uint32(i)), end)
		cursors[i] = &cursor{pager: s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{
			Filter: &filter, Select: to.Ptr("RowKey"),
		})}
	}
	return cursors
}

// earliest returns the cursor with the least key, nil when none has any.
func earliest(cursors []*cursor) (first *cursor) {
	for _, c := range cursors {
		if len(c.keys) > 0 && (first == nil || c.keys[0] < first.keys[0]) {
			first = c
		}
	}
	return first
}

// next takes the first key; there must be one.
func (c *cursor) next(ctx context.Context) string {
	key := c.keys[0]
	if c.keys = c.keys[1:]; len(c.keys) == 0 {
		c.fill(ctx)
	}
	return key
}

// fill reads on until there are keys, or the end. Table Storage may answer with an empty page
// that is not the last.
func (c *cursor) fill(ctx context.Context) {
	for len(c.keys) == 0 && c.err == nil && c.pager.More() {
		c.keys, c.err = nextKeys(ctx, c.pager)
	}
}

// nextKeys reads a page of RowKeys. A table that is absent has none.
func nextKeys(ctx context.Context, pager *runtime.Pager[aztables.ListEntitiesResponse]) (keys []string, err error) {
	page, err := pager.NextPage(ctx)
	if err = explain(ctx, err); hasCode(err, aztables.TableNotFound) {
		return nil, nil
	}
	for _, data := range page.Entities {
		var e struct{ RowKey string }
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("a row of the links' table cannot be read: %w", err)
		}
		keys = append(keys, e.RowKey)
	}
	return keys, err
}

func unread(cursors []*cursor) error {
	var n int
	var first error
	for _, c := range cursors {
		if c.err != nil {
			if n++; n == 1 {
				first = c.err
			}
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d shards of the index could not be read: %w", n, shards, first)
}
