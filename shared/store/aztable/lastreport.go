package aztable

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/store"
)

func reportKey(slug string) string { return "R_" + slug }

// reportColumns lists the properties of a report, as Storage Explorer shows them. The slug is in the
// RowKey.
func reportColumns(r *lastreport.Report) []column {
	return []column{
		{"LinkID", &r.LinkID},
		{"At", &r.At},
		{"By", (*string)(&r.By)},
		{"Report", jsonText{&r.Report}},
	}
}

// PutReport implements [lastreport.Store]. A second try writes the same.
func (s *Store) PutReport(ctx context.Context, slug string, r lastreport.Report) error {
	if err := checkKey("slug", slug); err != nil {
		return err
	}
	r = r.Stored()
	entity, err := encode(partitionOf(link.Slug(slug)), reportKey(slug), reportColumns(&r))
	if err != nil {
		return fmt.Errorf("the report of link %s cannot be stored: %w", slug, err)
	}
	err = s.withTable(ctx, func() error {
		_, err := s.client.UpsertEntity(ctx, entity, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace})
		return explain(ctx, err)
	})
	if err != nil {
		return fmt.Errorf("writing the report of link %s: %w", slug, err)
	}
	return nil
}

// LastReport implements [lastreport.Store].
func (s *Store) LastReport(ctx context.Context, slug string) (r lastreport.Report, err error) {
	if checkKey("slug", slug) != nil {
		return r, fmt.Errorf("%w: %.80q is no slug", store.ErrNotFound, slug)
	}
	answer, err := s.client.GetEntity(ctx, partitionOf(link.Slug(slug)), reportKey(slug), nil)
	if err = explain(ctx, err); isNotFound(err) {
		return r, fmt.Errorf("%w: report of link %s", store.ErrNotFound, slug)
	}
	if err != nil {
		return r, fmt.Errorf("reading the report of link %s: %w", slug, err)
	}
	var entity aztables.EDMEntity
	if err = json.Unmarshal(answer.Value, &entity); err == nil {
		err = decodeColumns(entity, reportColumns(&r))
	}
	if err != nil {
		return lastreport.Report{}, fmt.Errorf("row %s in partition %s of the links' table cannot be read, remove it there: %w", reportKey(slug), partitionOf(link.Slug(slug)), err)
	}
	return r, nil
}

// RemoveReport implements [lastreport.Store].
func (s *Store) RemoveReport(ctx context.Context, slug string) error {
	if err := checkKey("slug", slug); err != nil {
		return err
	}
	_, err := s.client.DeleteEntity(ctx, partitionOf(link.Slug(slug)), reportKey(slug), nil)
	if err = explain(ctx, err); err != nil && !isNotFound(err) {
		return fmt.Errorf("removing the report of link %s: %w", slug, err)
	}
	return nil
}
