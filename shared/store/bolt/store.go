package bolt

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// attempts limits how often a change is retried because of concurrent writes.
const attempts = 100

// Store keeps all records in one file.
type Store struct{ db *bbolt.DB }

var (
	_ link.Stores = (*Store)(nil)
	_ store.Cells = (*Store)(nil)
)

// New prepares an open file. Open the file with a timeout, because bbolt waits forever for a file
// that another process has open.
func New(db *bbolt.DB) (*Store, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{linksBucket, dueBucket, rosterBucket, trailBucket, reportsBucket, cellsBucket, webhooksBucket, rowsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the links' file: %w", err)
	}
	return &Store{db}, nil
}

func (s *Store) view(ctx context.Context, do func(*bbolt.Tx) error) error {
	return transact(ctx, s.db.View, do)
}

func (s *Store) update(ctx context.Context, do func(*bbolt.Tx) error) error {
	return transact(ctx, s.db.Update, do)
}

// transact separates the errors of do, which are about one row, from those of the file.
func transact(ctx context.Context, run func(func(*bbolt.Tx) error) error, do func(*bbolt.Tx) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
	}
	var failed error
	err := run(func(tx *bbolt.Tx) error {
		failed = do(tx)
		return failed
	})
	if err != nil && failed == nil {
		return fmt.Errorf("%w: the links' file: %w", store.ErrUnavailable, err)
	}
	return err
}
