package aztable

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/store"
)

// cellsPartition is the partition of the cells. No organization and no shard has this name.
const cellsPartition = "cells"

// Cell implements [store.Cells]. The version of a cell is the row's ETag.
func (s *Store) Cell(ctx context.Context, name string) (store.Cell, error) {
	c, _, err := s.cell(ctx, name)
	return c, err
}

// Swap implements [store.Cells]. After a conflict it reads the row again, because an earlier try
// of the same call may have written it.
func (s *Store) Swap(ctx context.Context, name string, old store.Cell, value string) (next store.Cell, swapped bool, err error) {
	if err := checkKey("cell's name", name); err != nil {
		return store.Cell{}, false, err
	}
	op := rand.Text()
	e := newEntity(cellsPartition, name)
	e.Properties["Value"], e.Properties["OpID"] = value, op
	entity, err := json.Marshal(e)
	if err != nil {
		return store.Cell{}, false, err
	}
	err = s.withTable(ctx, func() (err error) {
		next, err = s.putCell(ctx, entity, old)
		return explain(ctx, err)
	})
	if err == nil {
		next.Value = value
		return next, true, nil
	}
	if !isConflict(err) {
		return store.Cell{}, false, fmt.Errorf("writing the cell %s: %w", name, err)
	}
	found, by, err := s.cell(ctx, name)
	if err != nil || by != op {
		return store.Cell{}, false, err
	}
	return found, true, nil
}

func (s *Store) putCell(ctx context.Context, entity []byte, old store.Cell) (store.Cell, error) {
	if old.Version == "" {
		answer, err := s.client.AddEntity(ctx, entity, nil)
		return store.Cell{Version: string(answer.ETag)}, err
	}
	etag := azcore.ETag(old.Version)
	answer, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	return store.Cell{Version: string(answer.ETag)}, err
}

func (s *Store) cell(ctx context.Context, name string) (c store.Cell, op string, err error) {
	if checkKey("cell's name", name) != nil {
		return store.Cell{}, "", nil
	}
	answer, err := s.client.GetEntity(ctx, cellsPartition, name, nil)
	if err = explain(ctx, err); isNotFound(err) {
		return store.Cell{}, "", nil
	}
	if err != nil {
		return store.Cell{}, "", fmt.Errorf("reading the cell %s: %w", name, err)
	}
	var e struct{ Value, OpID string }
	if err := json.Unmarshal(answer.Value, &e); err != nil {
		return store.Cell{}, "", fmt.Errorf("the cell %s in the links' table cannot be read, repair or remove it there: %w", name, err)
	}
	return store.Cell{Value: e.Value, Version: string(answer.ETag)}, e.OpID, nil
}
