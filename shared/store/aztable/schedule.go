package aztable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"golang.org/x/sync/errgroup"

	"fhirlink/shared/link"
)

// parallel is how many shards are read at the same time.
const parallel = 8

// maxDue is the latest time that a key of the index can contain: in the year 2286.
const maxDue = 9_999_999_999_999_999

// dueKey returns a key that sorts by time. A time before 1970 counts as 1970, because it is long
// past.
func dueKey(due time.Time, slug link.Slug) string {
	return dueBound(due.UnixMicro()) + "_" + string(slug)
}

func dueBound(micro int64) string { return fmt.Sprintf("X_%016d", min(max(micro, 0), maxDue)) }

// dueSlug returns the slug in a key that dueKey has made.
func dueSlug(key string) (link.Slug, error) {
	n := len(dueBound(0))
	if !strings.HasPrefix(key, "X_") || len(key) < n+2 || key[n] != '_' {
		return "", fmt.Errorf("the index of due links has the row %.80q, which names no slug: remove it from the table", key)
	}
	return link.Slug(key[n+1:]), nil
}

// Due implements [link.Schedule], in order of time over all shards. It makes one query per shard,
// and one more for every further 1,000 due links in a shard, once yield gets that far. If a shard
// or an entry cannot be read, Due continues with the others and returns the error at its end.
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
	keys  []string // of the current page, in order, not yet taken
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

// earliest returns the cursor with the smallest key, or nil when no cursor has one.
func earliest(cursors []*cursor) (first *cursor) {
	for _, c := range cursors {
		if len(c.keys) > 0 && (first == nil || c.keys[0] < first.keys[0]) {
			first = c
		}
	}
	return first
}

// next takes the first key, which must exist.
func (c *cursor) next(ctx context.Context) string {
	key := c.keys[0]
	if c.keys = c.keys[1:]; len(c.keys) == 0 {
		c.fill(ctx)
	}
	return key
}

// fill reads pages until there are keys, or to the end. Table Storage may answer with an empty
// page that is not the last one. A panic becomes an error: in a goroutine of its own it would end
// the process.
func (c *cursor) fill(ctx context.Context) {
	defer func() {
		if recover() != nil {
			c.err = fmt.Errorf("panic: %s", debug.Stack())
		}
	}()
	for len(c.keys) == 0 && c.err == nil && c.pager.More() {
		c.keys, c.err = nextKeys(ctx, c.pager)
	}
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

// dueEntity is a link's entry in the schedule. The timer reads only its key. The property Due is
// for people; it is left out if Table Storage cannot hold the time.
func dueEntity(r linkRow) ([]byte, error) {
	e := newEntity(partitionOf(r.link.Slug), r.due)
	if due, err := dateTime(r.link.Due()); err == nil {
		e.Properties["Due"] = due
	}
	return json.Marshal(e)
}
