package aztable

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
)

// eventColumns lists the properties of an event, as Storage Explorer shows them. The organization
// and the slug are in the PartitionKey; the ID is the RowKey.
func eventColumns(e *trail.Event) []column {
	return []column{
		{"At", &e.At},
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
