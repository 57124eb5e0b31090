package aztable

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
)

func rosterPartition(organization string) string { return "o" + organization }

// Enroll implements [link.Roster]. It overwrites the entry, so its retries are harmless.
func (s *Store) Enroll(ctx context.Context, organization string, slug link.Slug) (receipt string, err error) {
	if err := checkEntry(organization, slug); err != nil {
		return "", err
	}
	receipt = rand.Text()
	e := newEntity(rosterPartition(organization), string(slug))
	e.Properties["Receipt"] = receipt
	entity, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	err = s.withTable(ctx, func() error {
		_, err := s.client.UpsertEntity(ctx, entity, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace})
		return explain(ctx, err)
	})
	if err != nil {
		return "", fmt.Errorf("enrolling link %s: %w", slug, err)
	}
	return receipt, nil
}

// Receipt implements [link.Roster].
func (s *Store) Receipt(ctx context.Context, organization string, slug link.Slug) (string, error) {
	receipt, _, err := s.receipt(ctx, organization, slug)
	return receipt, err
}

// Withdraw implements [link.Roster].
func (s *Store) Withdraw(ctx context.Context, organization string, slug link.Slug, receipt string) error {
	for n := range attempts {
		current, etag, err := s.receipt(ctx, organization, slug)
		if err != nil || current == "" || current != receipt {
			return err
		}
		_, err = s.client.DeleteEntity(ctx, rosterPartition(organization), string(slug), &aztables.DeleteEntityOptions{IfMatch: &etag})
		err = explain(ctx, err)
		if isNotFound(err) {
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if err := backOff(ctx, n); err != nil { // perhaps a late retry of the same Enroll
			return err
		}
	}
	return busyLink(slug)
}

// Slugs implements [link.Roster].
func (s *Store) Slugs(ctx context.Context, organization string, after link.Slug, limit int) (slugs []link.Slug, err error) {
	if err := checkKey("organization", organization); err != nil || limit <= 0 {
		return nil, err
	}
	filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey gt '%s'", rosterPartition(organization), quoted(string(after)))
	pager := s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{
		Filter: &filter, Select: to.Ptr("RowKey"), Top: to.Ptr(int32(min(limit, maxPage))),
	})
	for len(slugs) < limit && pager.More() {
		keys, err := nextKeys(ctx, pager)
		if err != nil {
			return nil, fmt.Errorf("listing links: %w", err)
		}
		for _, key := range keys {
			slugs = append(slugs, link.Slug(key))
		}
	}
	return slugs[:min(limit, len(slugs))], nil
}

// receipt returns "" if there is no entry.
func (s *Store) receipt(ctx context.Context, organization string, slug link.Slug) (string, azcore.ETag, error) {
	if checkEntry(organization, slug) != nil {
		return "", "", nil
	}
	answer, err := s.client.GetEntity(ctx, rosterPartition(organization), string(slug), nil)
	if err = explain(ctx, err); isNotFound(err) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the roster's entry of link %s: %w", slug, err)
	}
	var e struct{ Receipt string }
	if err := json.Unmarshal(answer.Value, &e); err != nil {
		return "", "", fmt.Errorf("the roster's entry of link %s cannot be read: %w", slug, err)
	}
	return e.Receipt, answer.ETag, nil
}
