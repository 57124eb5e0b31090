package handle

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fhirlink/shared/store"
)

// trimAtOnce is how many rows are read at once to be removed.
const trimAtOnce = 1000

// Trimmer removes what has ended: short-lived rows and grants. What that costs depends on how much has ended
// since, not on how much there is.
type Trimmer struct {
	Rows store.Rows
	Now  func() time.Time
}

// Trim removes everything that has ended, and returns how many rows that were. If it fails, what is left is
// removed next time. The error is that of the store.
func (t Trimmer) Trim(ctx context.Context) (removed int, err error) {
	// The bucket before the current one stays: another instance's clock may be behind.
	bucket := t.Now().Unix()/int64(bucketWidth/time.Second) - 1
	short, err := t.trim(ctx, "t", fmt.Sprintf("t%08x", bucket), nil)
	if err != nil {
		return short, err
	}
	today := t.Now().Unix() / int64(day/time.Second)
	grants, err := t.trim(ctx, "g", fmt.Sprintf("g%08x", today), t.trimIndex)
	return short + grants, err
}

// trim removes the rows of a range of partitions, each page after what belongs to it.
func (t Trimmer) trim(ctx context.Context, from, before string, first func(context.Context, []store.Row) (int, error)) (removed int, err error) {
	for {
		rows, err := t.Rows.Between(ctx, from, before, trimAtOnce)
		if err != nil || len(rows) == 0 {
			return removed, err
		}
		if first != nil {
			n, err := first(ctx, rows)
			if removed += n; err != nil {
				return removed, err
			}
		}
		keys := make([]store.Key, len(rows))
		for i, row := range rows {
			keys[i] = row.Key
		}
		if err := t.Rows.Discard(ctx, keys); err != nil {
			return removed, err
		}
		removed += len(rows)
		if len(rows) < trimAtOnce {
			return removed, nil
		}
	}
}

// trimIndex removes the lists in which grants stand that have ended: whole days of a link.
func (t Trimmer) trimIndex(ctx context.Context, grants []store.Row) (removed int, err error) {
	seen := map[string]bool{}
	for _, row := range grants {
		var g struct{ Slug string }
		if json.Unmarshal([]byte(row.Value), &g) != nil || g.Slug == "" || len(row.Partition) < len("g00000000") {
			continue // it cannot be read, and is removed all the same
		}
		partition := "u" + g.Slug + "_" + row.Partition[1:9]
		if seen[partition] {
			continue
		}
		seen[partition] = true
		for {
			listed, err := t.Rows.List(ctx, partition, "", "", trimAtOnce)
			if err != nil {
				return removed, err
			}
			keys := make([]store.Key, len(listed))
			for i, row := range listed {
				keys[i] = row.Key
			}
			if err := t.Rows.Discard(ctx, keys); err != nil {
				return removed, err
			}
			if removed += len(listed); len(listed) < trimAtOnce {
				break
			}
		}
	}
	return removed, nil
}
