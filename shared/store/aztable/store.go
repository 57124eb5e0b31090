// Package aztable keeps links in Azure Table Storage: a [link.Stores] over aztables.
//
// One table. A link and its entry in the index of due times share a partition, so that they
// change in one entity group transaction:
//
//	PartitionKey  RowKey
//	s00 … s3f     L_<slug>                     the link
//	s00 … s3f     X_<due, µs since 1970>_<slug> when the timer must look at it
//	o<tenant>     <slug>                       the organization's roster
//	e<tenant>_<slug> <ID>                      an event of the trail
//	cells         <name>                       a cell
//	w<tenant>     <id>                         its webhook endpoints, see [Endpoints]
//
// The SDK asks again after an answer that got lost; the second answer is then a 404, 409 or
// 412 although the first try took effect. So every such answer makes the driver read the row
// again: CreateOp, which is never rewritten, tells whether an insert was this driver's, OpIDs
// whether an update was.
//
// https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
package aztable

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// attempts bounds how often a change is made anew because somebody else wrote meanwhile.
const attempts = 16

// Store keeps links in a table, which need not exist yet.
type Store struct{ client *aztables.Client }

var _ link.Stores = (*Store)(nil)

// New returns a store over the client's table. It makes no request.
func New(client *aztables.Client) *Store { return &Store{client} }

// ClientOptions suits clients that serve HTTP requests, which end after seconds: a call gives
// up 16 s after its start at the latest.
func ClientOptions() *aztables.ClientOptions {
	return &aztables.ClientOptions{ClientOptions: policy.ClientOptions{Retry: policy.RetryOptions{
		MaxRetries:    2,
		RetryDelay:    150 * time.Millisecond,
		MaxRetryDelay: 2 * time.Second,
		TryTimeout:    5 * time.Second,
	}}}
}

// Ensure creates the table if it is absent. Writes do so themselves when they find none.
func (s *Store) Ensure(ctx context.Context) error {
	_, err := s.client.CreateTable(ctx, nil)
	if err = explain(ctx, err); hasCode(err, aztables.TableAlreadyExists) {
		return nil
	}
	return err
}

// Get is link.Store's.
func (s *Store) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	found, err := s.read(ctx, slug)
	return found.link, err
}

// Insert is link.Store's.
func (s *Store) Insert(ctx context.Context, l link.Link) error {
	if err := checkKey("slug", string(l.Slug)); err != nil {
		return err
	}
	op := rand.Text()
	for n := range attempts {
		err := s.ensuring(ctx, func() error {
			return s.write(ctx, row{}, newRow(l, op))
		})
		if !isConflict(err) {
			return err
		}
		found, err := s.read(ctx, l.Slug)
		switch {
		case err == nil && found.createOp == op:
			return nil
		case err == nil:
			return fmt.Errorf("%w: link %s", store.ErrExists, l.Slug)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := pause(ctx, n); err != nil { // what was in the way has been removed meanwhile
			return err
		}
	}
	return busy(l.Slug)
}

// Update is link.Store's.
func (s *Store) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	found, err := s.read(ctx, slug)
	for n := range attempts {
		if err != nil {
			return link.Link{}, err
		}
		next, err := found.changed(change)
		if err != nil {
			return link.Link{}, err
		}
		err = s.write(ctx, found, next)
		if err == nil {
			return next.link, nil
		}
		if !isConflict(err) {
			return link.Link{}, err
		}
		fresh, err := s.read(ctx, slug)
		if err == nil && fresh.saw(next.opIDs[0]) {
			return next.link, nil
		}
		if err == nil {
			err = pause(ctx, n)
		}
		if err != nil {
			return link.Link{}, err
		}
		found = fresh.after(found)
	}
	return link.Link{}, busy(slug)
}

// Remove is link.Store's.
func (s *Store) Remove(ctx context.Context, slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	found, err := s.read(ctx, slug)
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
		err = s.write(ctx, found, row{})
		if err == nil {
			return true, nil
		}
		if !isConflict(err) {
			return false, err
		}
		fresh, readErr := s.read(ctx, slug)
		if readErr == nil {
			readErr = pause(ctx, n)
		}
		found, err = fresh.after(found), readErr
	}
	return false, busy(slug)
}

// read returns the row of a slug, or ErrNotFound.
func (s *Store) read(ctx context.Context, slug link.Slug) (row, error) {
	if checkKey("slug", string(slug)) != nil {
		return row{}, fmt.Errorf("%w: %.80q is no slug", store.ErrNotFound, slug)
	}
	answer, err := s.client.GetEntity(ctx, partitionOf(slug), linkKey(slug), nil)
	if err = explain(ctx, err); isNotFound(err) {
		return row{}, fmt.Errorf("%w: link %s", store.ErrNotFound, slug)
	}
	if err != nil {
		return row{}, fmt.Errorf("reading link %s: %w", slug, err)
	}
	return decode(slug, answer.Value, answer.ETag)
}

// ensuring writes again once the table is there, if that is what was missing.
func (s *Store) ensuring(ctx context.Context, write func() error) error {
	err := write()
	if !hasCode(err, aztables.TableNotFound) {
		return err
	}
	if err := s.Ensure(ctx); err != nil {
		return err
	}
	return write()
}

// pause waits longer the more attempts have been made, and never two writers equally long.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-ctx.Done():
		return explain(ctx, ctx.Err())
	case <-time.After(mathrand.N(10 * time.Millisecond << min(attempt, 5))):
		return nil
	}
}

func busy(slug link.Slug) error {
	return fmt.Errorf("%w: link %s was changed by others %d times in a row", store.ErrUnavailable, slug, attempts)
}
