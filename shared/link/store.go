package link

import (
	"context"
	"time"

	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

// Store keeps links, one row per slug, each with its next due time in an index.
//
// A driver adds random words to every row, which name its last writes. When the answer to a write got
// lost and the SDK retried, they show whether the first try took effect. So the results of Insert
// and Update are true even when the network was not reliable.
//
// The errors that the methods name are those of [store].
type Store interface {
	// Get returns the row in whatever phase it is. ErrNotFound, ErrUnavailable.
	Get(ctx context.Context, slug Slug) (Link, error)
	// Insert adds a row; of any number of racing inserts of a slug exactly one succeeds.
	// ErrExists, ErrUnavailable.
	Insert(ctx context.Context, l Link) error
	// Update reads the row, calls change, and writes the result unless the row was written in
	// between. In that case it starts again, so change may run more than once. An error of change
	// is returned as it is and nothing is written. Update returns the row as written.
	// ErrNotFound, ErrUnavailable.
	Update(ctx context.Context, slug Slug, change func(Link) (Link, error)) (Link, error)
	// Remove deletes the row if still reports true of it, atomically, as Update writes. It reports
	// whether the row is gone now. A row that was not there is no error.
	Remove(ctx context.Context, slug Slug, still func(Link) bool) (gone bool, err error)
}

// Schedule is the index over due times. Link.Due determines them, and every write of a Store moves
// the row's entry there in the same transaction.
type Schedule interface {
	// Due calls yield for the slugs whose due time is at or before now, until it returns
	// false. The cost is the number of shards plus what is due, never the number of links.
	Due(ctx context.Context, now time.Time, yield func(Slug) bool) error
}

// Roster lists the slugs of each organization. An entry is a claim, not a proof: it is
// written before the row it names and removed after it, so readers look at the row too.
type Roster interface {
	// Enroll writes the entry, again if it is there, and returns a receipt for this write.
	Enroll(ctx context.Context, organization string, slug Slug) (receipt string, err error)
	// Receipt returns the receipt of the latest Enroll; "" when there is no entry.
	Receipt(ctx context.Context, organization string, slug Slug) (string, error)
	// Withdraw removes the entry unless it was enrolled again since the receipt was given.
	Withdraw(ctx context.Context, organization string, slug Slug, receipt string) error
	// Slugs returns up to limit slugs of the organization in ascending order, those greater
	// than after.
	Slugs(ctx context.Context, organization string, after Slug, limit int) ([]Slug, error)
}

// Stores is all that a Service needs of a driver. In a cell it keeps the day of an
// organization's latest digest.
type Stores interface {
	Store
	Schedule
	Roster
	trail.Store
	lastreport.Store
	store.Cells
}
