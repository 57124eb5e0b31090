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

// attempts bounds how often a change is tried again because others wrote meanwhile.
const attempts = 16

// Store keeps all records in a table, which need not exist yet.
type Store struct{ client *aztables.Client }

var (
	_ link.Stores = (*Store)(nil)
	_ store.Cells = (*Store)(nil)
)

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

// pause waits longer the more attempts have been made, and for a random time, so that two
// writers do not meet again.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-ctx.Done():
		return explain(ctx, ctx.Err())
	case <-time.After(mathrand.N(10 * time.Millisecond << min(attempt, 5))):
		return nil
	}
}
