package aztable

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

func linkKey(slug link.Slug) string { return "L_" + string(slug) }

// Get implements [link.Store].
func (s *Store) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	found, err := s.readLink(ctx, slug)
	return found.link, err
}

// Insert implements [link.Store].
func (s *Store) Insert(ctx context.Context, l link.Link) error {
	if err := checkKey("slug", string(l.Slug)); err != nil {
		return err
	}
	op := rand.Text()
	for n := range attempts {
		err := s.withTable(ctx, func() error {
			return s.writeLink(ctx, linkRow{}, newLinkRow(l, op))
		})
		if !isConflict(err) {
			return err
		}
		found, err := s.readLink(ctx, l.Slug)
		switch {
		case err == nil && found.createOp == op:
			return nil
		case err == nil:
			return fmt.Errorf("%w: link %s", store.ErrExists, l.Slug)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := backOff(ctx, n); err != nil { // the row in the way has been removed meanwhile
			return err
		}
	}
	return busyLink(l.Slug)
}

// Update implements [link.Store].
func (s *Store) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	found, err := s.readLink(ctx, slug)
	for n := range attempts {
		if err != nil {
			return link.Link{}, err
		}
		next, err := found.changed(change)
		if err != nil {
			return link.Link{}, err
		}
		err = s.writeLink(ctx, found, next)
		if err == nil {
			return next.link, nil
		}
		if !isConflict(err) {
			return link.Link{}, err
		}
		fresh, err := s.readLink(ctx, slug)
		if err == nil && fresh.hasOp(next.opIDs[0]) {
			return next.link, nil
		}
		if err == nil {
			err = backOff(ctx, n)
		}
		if err != nil {
			return link.Link{}, err
		}
		found = fresh.afterConflict(found)
	}
	return link.Link{}, busyLink(slug)
}

// Remove implements [link.Store].
func (s *Store) Remove(ctx context.Context, slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	found, err := s.readLink(ctx, slug)
	judged := found.createOp
	for n := range attempts {
		if errors.Is(err, store.ErrNotFound) || err == nil && found.createOp != judged {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !still(found.link.Stored()) {
			return false, nil
		}
		err = s.writeLink(ctx, found, linkRow{})
		if err == nil {
			return true, nil
		}
		if !isConflict(err) {
			return false, err
		}
		fresh, readErr := s.readLink(ctx, slug)
		if readErr == nil {
			readErr = backOff(ctx, n)
		}
		found, err = fresh.afterConflict(found), readErr
	}
	return false, busyLink(slug)
}

// readLink returns the row of a slug, or [store.ErrNotFound].
func (s *Store) readLink(ctx context.Context, slug link.Slug) (linkRow, error) {
	if checkKey("slug", string(slug)) != nil {
		return linkRow{}, fmt.Errorf("%w: %.80q is no slug", store.ErrNotFound, slug)
	}
	answer, err := s.client.GetEntity(ctx, partitionOf(slug), linkKey(slug), nil)
	if err = explain(ctx, err); isNotFound(err) {
		return linkRow{}, fmt.Errorf("%w: link %s", store.ErrNotFound, slug)
	}
	if err != nil {
		return linkRow{}, fmt.Errorf("reading link %s: %w", slug, err)
	}
	return decodeLink(slug, answer.Value, answer.ETag)
}

// writeLink replaces the row before with next, and moves its entry in the schedule. The zero row
// means that there is no row.
func (s *Store) writeLink(ctx context.Context, before, next linkRow) error {
	slug := cmp.Or(before.link.Slug, next.link.Slug)
	actions, err := linkTransaction(slug, before, next)
	if err == nil {
		err = s.submit(ctx, actions)
	}
	if err != nil {
		return fmt.Errorf("writing link %s: %w", slug, err)
	}
	return nil
}

// linkTransaction returns the change of the link's row, followed by the changes of the schedule.
func linkTransaction(slug link.Slug, before, next linkRow) ([]aztables.TransactionAction, error) {
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

// linkAction inserts, replaces or deletes the link's row. A replacement always has IfMatch,
// because Table Storage would otherwise insert a missing row.
func linkAction(before, next linkRow) (a aztables.TransactionAction, err error) {
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

func busyLink(slug link.Slug) error {
	return fmt.Errorf("%w: link %s was changed by others %d times in a row", store.ErrUnavailable, slug, attempts)
}
