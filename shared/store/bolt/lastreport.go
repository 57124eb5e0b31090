package bolt

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/store"
)

// reportsBucket maps slug → last report as JSON.
var reportsBucket = []byte("links.report")

// PutReport implements [lastreport.Store].
func (s *Store) PutReport(ctx context.Context, slug string, r lastreport.Report) error {
	data, err := json.Marshal(r.Stored())
	if err != nil {
		return fmt.Errorf("the report of link %q cannot be written: %w", slug, err)
	}
	return s.update(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(reportsBucket).Put([]byte(slug), data) })
}

// LastReport implements [lastreport.Store].
func (s *Store) LastReport(ctx context.Context, slug string) (r lastreport.Report, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		data := tx.Bucket(reportsBucket).Get([]byte(slug))
		if data == nil {
			return fmt.Errorf("%w: report of link %s", store.ErrNotFound, slug)
		}
		if err := json.Unmarshal(data, &r); err != nil {
			return fmt.Errorf("the report of link %q in the links' file cannot be read: %w; restore the file, or remove that report", slug, err)
		}
		return nil
	})
	return r, err
}

// RemoveReport implements [lastreport.Store].
func (s *Store) RemoveReport(ctx context.Context, slug string) error {
	return s.update(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(reportsBucket).Delete([]byte(slug)) })
}
