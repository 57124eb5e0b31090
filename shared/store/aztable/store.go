package aztable

import (
	"context"
	mathrand "math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// attempts limits how often a change is retried because of concurrent writes.
const attempts = 16

// Store keeps all records in one table, which need not exist yet.
type Store struct{ client *aztables.Client }

var (
	_ link.Stores = (*Store)(nil)
	_ store.Cells = (*Store)(nil)
)

// New returns a store over the client's table. It makes no request.
func New(client *aztables.Client) *Store { return &Store{client} }

// ClientOptions returns options for a client that serves HTTP requests, which end after seconds:
// a call gives up at most 16 s after its start.
func ClientOptions() *aztables.ClientOptions {
	return &aztables.ClientOptions{ClientOptions: policy.ClientOptions{Retry: policy.RetryOptions{
		MaxRetries:    2,
		RetryDelay:    150 * time.Millisecond,
		MaxRetryDelay: 2 * time.Second,
		TryTimeout:    5 * time.Second,
	}}}
}

// Ensure creates the table if it does not exist. A write that finds no table calls Ensure itself.
func (s *Store) Ensure(ctx context.Context) error {
	_, err := s.client.CreateTable(ctx, nil)
	if err = explain(ctx, err); hasCode(err, aztables.TableAlreadyExists) {
		return nil
	}
	return err
}

// withTable calls write. If the table does not exist, it creates the table and calls write again.
func (s *Store) withTable(ctx context.Context, write func() error) error {
	err := write()
	if !hasCode(err, aztables.TableNotFound) {
		return err
	}
	if err := s.Ensure(ctx); err != nil {
		return err
	}
	return write()
}

// backOff waits before a retry, longer with each attempt. A random part keeps two writers from
// colliding again.
func backOff(ctx context.Context, attempt int) error {
	select {
	case <-ctx.Done():
		return explain(ctx, ctx.Err())
	case <-time.After(mathrand.N(10 * time.Millisecond << min(attempt, 5))):
		return nil
	}
}
