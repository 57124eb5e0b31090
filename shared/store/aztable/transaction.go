package aztable

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
)

// maxActions is what Table Storage takes in one transaction; above it the SDK fails with a
// message about malformed HTTP.
const maxActions = 100

// write puts next in the place of the row before, and its entry in the index where it belongs.
// The zero row stands for none.
func (s *Store) write(ctx context.Context, before, next row) error {
	slug := cmp.Or(before.link.Slug, next.link.Slug)
	actions, err := transaction(slug, before, next)
	if err == nil {
		err = s.submit(ctx, actions)
	}
	if err != nil {
		return fmt.Errorf("writing link %s: %w", slug, err)
	}
	return nil
}

func (s *Store) submit(ctx context.Context, actions []aztables.TransactionAction) error {
	if len(actions) == 0 || len(actions) > maxActions {
		return fmt.Errorf("a transaction must have 1 to %d actions, not %d", maxActions, len(actions))
	}
	_, err := s.client.SubmitTransaction(ctx, actions, nil)
	return explain(ctx, err)
}

func transaction(slug link.Slug, before, next row) ([]aztables.TransactionAction, error) {
	first, err := linkAction(before, next)
	actions := []aztables.TransactionAction{first}
	if before.due != "" && before.due != next.due && err == nil {
		var entry []byte
		entry, err = json.Marshal(newEntity(partitionOf(slug), before.due))
		actions = append(actions, aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete, Entity: entry})
	}
	if next.due != "" && err == nil {
		var entry []byte
		entry, err = dueEntity(next)
		actions = append(actions, aztables.TransactionAction{ActionType: aztables.TransactionTypeInsertReplace, Entity: entry})
	}
	return actions, err
}

// linkAction inserts, replaces or deletes the link's row. A replacement always has IfMatch:
// without it, Table Storage would insert a row that is absent.
func linkAction(before, next row) (a aztables.TransactionAction, err error) {
	switch {
	case before.link.Slug == "":
		a.ActionType = aztables.TransactionTypeAdd
		a.Entity, err = next.entity()
	case next.link.Slug == "":
		a.ActionType, a.IfMatch = aztables.TransactionTypeDelete, &before.etag
		a.Entity, err = json.Marshal(newEntity(partitionOf(before.link.Slug), linkKey(before.link.Slug)))
	default:
		a.ActionType, a.IfMatch = aztables.TransactionTypeUpdateReplace, &before.etag
		a.Entity, err = next.entity()
	}
	return a, err
}

// dueEntity is the index's entry. The timer reads its key only; Due is for people, and left
// out when it is no time that a property can have.
func dueEntity(r row) ([]byte, error) {
	e := newEntity(partitionOf(r.link.Slug), r.due)
	if due, err := dateTime(r.link.Due()); err == nil {
		e.Properties["Due"] = due
	}
	return json.Marshal(e)
}
