package aztable

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

// eventColumns lists the properties of an event, as Storage Explorer shows them. The organization
// and the slug are in the PartitionKey; the ID is the RowKey.
func eventColumns(e *trail.Event) []column {
	return []column{
		{"At", &e.At},
		{"App", &e.App},
		{"LinkID", &e.LinkID},
		{"Action", (*string)(&e.Action)},
		{"Outcome", &e.Outcome},
		{"By", jsonText{&e.By}},
	}
}

func trailPartition(organization, slug string) string {
	return "e" + organization + "_" + slug
}

// Append implements [trail.Store]. If the event exists already, an earlier try of the same call
// may have written it.
func (s *Store) Append(ctx context.Context, e trail.Event) error {
	if err := checkEvent(e); err != nil {
		return err
	}
	e = e.Stored()
	entity, err := encode(trailPartition(e.Organization, e.Slug), e.ID, eventColumns(&e))
	if err != nil {
		return fmt.Errorf("event %s of link %s cannot be stored: %w", e.ID, e.Slug, err)
	}
	err = s.withTable(ctx, func() error {
		_, err := s.client.AddEntity(ctx, entity, nil)
		return explain(ctx, err)
	})
	if err != nil && !isConflict(err) {
		return fmt.Errorf("writing an event of link %s: %w", e.Slug, err)
	}
	return nil
}

func checkEvent(e trail.Event) error {
	if err := checkKey("event ID", e.ID); err != nil {
		return err
	}
	return checkEntry(e.Organization, link.Slug(e.Slug))
}

// Events implements [trail.Store].
func (s *Store) Events(ctx context.Context, organization, slug, after string, limit int) (events []trail.Event, err error) {
	if err := checkEntry(organization, link.Slug(slug)); err != nil || limit <= 0 {
		return nil, err
	}
	filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey gt '%s'", trailPartition(organization, slug), quoted(after))
	pager := s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: to.Ptr(int32(min(limit, maxPage)))})
	for len(events) < limit && pager.More() {
		page, err := pager.NextPage(ctx)
		if err = explain(ctx, err); hasCode(err, aztables.TableNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the trail of link %s: %w", slug, err)
		}
		for _, data := range page.Entities {
			e, err := decodeEvent(organization, slug, data)
			if err != nil {
				return nil, err
			}
			events = append(events, e)
		}
	}
	return events[:min(limit, len(events))], nil
}

func decodeEvent(organization, slug string, data []byte) (trail.Event, error) {
	e := trail.Event{Organization: organization, Slug: slug}
	var entity aztables.EDMEntity
	err := json.Unmarshal(data, &entity)
	if err == nil {
		e.ID = entity.RowKey
		err = decodeColumns(entity, eventColumns(&e))
	}
	if err != nil {
		return trail.Event{}, fmt.Errorf("row %.80q in partition %s of the links' table cannot be read, repair it there: %w", entity.RowKey, trailPartition(organization, slug), err)
	}
	return e, nil
}

// Expire implements [trail.Store]. A place is the PartitionKey of a trail.
func (s *Store) Expire(ctx context.Context, before time.Time, from string, most trail.Bounds) (trail.Progress, error) {
	p := trail.Progress{Last: from}
	for p.Looked < most.Trails {
		next, err := s.trailAfter(ctx, p.Last)
		if err != nil {
			return p, err
		}
		if next == "" {
			p.Done = true
			return p, nil
		}
		p.Looked++
		removed, all, err := s.expirePartition(ctx, next, trail.Oldest(before), most.Events-p.Removed)
		p.Removed += removed
		if err != nil || !all {
			return p, err
		}
		p.Last = next
	}
	return p, nil
}

// trailAfter returns the first partition of a trail after the given one, "" if there is none. It
// skips the rows of a partition, however many they are.
func (s *Store) trailAfter(ctx context.Context, partition string) (string, error) {
	filter := fmt.Sprintf("PartitionKey gt '%s' and PartitionKey lt 'f'", quoted(cmp.Or(partition, "e")))
	pager := s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: to.Ptr(int32(1)), Select: to.Ptr("PartitionKey,RowKey")})
	for pager.More() {
		rows, err := nextRows(ctx, pager)
		if err != nil {
			return "", fmt.Errorf("looking for the next trail: %w", err)
		}
		if len(rows) > 0 {
			return rows[0].PartitionKey, nil
		}
	}
	return "", nil
}

// expirePartition removes up to limit old events of a trail. all means that it holds no others.
func (s *Store) expirePartition(ctx context.Context, partition, oldest string, limit int) (removed int, all bool, err error) {
	for range attempts {
		old, err := s.oldEvents(ctx, partition, oldest, limit-removed+1)
		all = len(old) <= limit-removed
		old = old[:min(len(old), limit-removed)]
		for err == nil && len(old) > 0 {
			n := min(len(old), maxActions)
			if err = s.removeEvents(ctx, partition, old[:n]); err == nil {
				removed, old = removed+n, old[n:]
			}
		}
		if !isNotFound(err) {
			return removed, all, err
		}
		// The answer to an earlier try got lost, or another run is at it too: look again.
	}
	return removed, false, fmt.Errorf("%w: the trail in partition %s was trimmed by others %d times in a row", store.ErrUnavailable, partition, attempts)
}

// oldEvents reads the keys of up to limit old events.
func (s *Store) oldEvents(ctx context.Context, partition, oldest string, limit int) (keys []string, err error) {
	filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey ge '%s'", quoted(partition), quoted(oldest))
	pager := s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: to.Ptr(int32(min(limit, maxPage))), Select: to.Ptr("RowKey")})
	for len(keys) < limit && pager.More() {
		page, err := nextKeys(ctx, pager)
		if err != nil {
			return nil, fmt.Errorf("looking for old events in partition %s: %w", partition, err)
		}
		keys = append(keys, page...)
	}
	return keys[:min(limit, len(keys))], nil
}

// removeEvents removes events of one trail in one transaction.
func (s *Store) removeEvents(ctx context.Context, partition string, keys []string) error {
	actions := make([]aztables.TransactionAction, len(keys))
	for i, key := range keys {
		entity, err := json.Marshal(newEntity(partition, key))
		if err != nil {
			return err
		}
		actions[i] = aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete, Entity: entity}
	}
	if err := s.submit(ctx, actions); err != nil {
		return fmt.Errorf("removing old events in partition %s: %w", partition, err)
	}
	return nil
}
