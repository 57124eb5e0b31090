package aztable

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
)

// cellsPartition holds the cells; no organization and no shard is named so.
const cellsPartition = "cells"

// Cell is link.Cells'. Its version is the row's ETag.
func (s *Store) Cell(ctx context.Context, name string) (link.Cell, error) {
	c, _, err := s.cell(ctx, name)
	return c, err
}

// Swap is link.Cells'. After a conflict the row is read again: it may be what an earlier try of
// this very call has written.
func (s *Store) Swap(ctx context.Context, name string, old link.Cell, value string) (next link.Cell, swapped bool, err error) {
	if err := checkKey("cell's name", name); err != nil {
		return link.Cell{}, false, err
	}
	op := rand.Text()
	e := newEntity(cellsPartition, name)
	e.Properties["Value"], e.Properties["OpID"] = value, op
	entity, err := json.Marshal(e)
	if err != nil {
		return link.Cell{}, false, err
	}
	err = s.ensuring(ctx, func() (err error) {
		next, err = s.putCell(ctx, entity, old)
		return explain(ctx, err)
	})
	if err == nil {
		next.Value = value
		return next, true, nil
	}
	if !isConflict(err) {
		return link.Cell{}, false, fmt.Errorf("writing the cell %s: %w", name, err)
	}
	found, by, err := s.cell(ctx, name)
	if err != nil || by != op {
		return link.Cell{}, false, err
	}
	return found, true, nil
}

func (s *Store) putCell(ctx context.Context, entity []byte, old link.Cell) (link.Cell, error) {
	if old.Version == "" {
		answer, err := s.client.AddEntity(ctx, entity, nil)
		return link.Cell{Version: string(answer.ETag)}, err
	}
	etag := azcore.ETag(old.Version)
	answer, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	return link.Cell{Version: string(answer.ETag)}, err
}

func (s *Store) cell(ctx context.Context, name string) (c link.Cell, op string, err error) {
	if checkKey("cell's name", name) != nil {
		return link.Cell{}, "", nil
	}
	answer, err := s.client.GetEntity(ctx, cellsPartition, name, nil)
	if err = explain(ctx, err); isNotFound(err) {
		return link.Cell{}, "", nil
	}
	if err != nil {
		return link.Cell{}, "", fmt.Errorf("reading the cell %s: %w", name, err)
	}
	var e struct{ Value, OpID string }
	if err := json.Unmarshal(answer.Value, &e); err != nil {
		return link.Cell{}, "", fmt.Errorf("the cell %s in the links' table cannot be read, repair or remove it there: %w", name, err)
	}
	return link.Cell{Value: e.Value, Version: string(answer.ETag)}, e.OpID, nil
}
