package trail

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/store"
)

const (
	// DefaultDays is how long events are kept when nothing else is set.
	DefaultDays = 400
	// roundCell is the name of the cell with the round.
	roundCell = "trail"
)

// perTrim bounds what one run of the timer does about trails: about 130 requests to Table Storage
// for looking, and 20 transactions for removing.
var perTrim = Bounds{Trails: 64, Events: 2000}

// Trimmer removes old events. Once a day it begins a round over all trails, which as many runs of
// the timer continue as it takes. So a trail costs one look a day and what it has lost, however
// long it is; and no event needs an index, so that those of earlier versions and of deleted links
// are found too.
type Trimmer struct {
	Store Store
	Cells store.Cells
	Days  int              // that an event is kept; zero: DefaultDays
	Now   func() time.Time // nil: time.Now
}

// round is the state that all processes share.
type round struct {
	Began date.Date `json:"began"`
	Last  string    `json:"last"` // see Progress
	Done  bool      `json:"done"`
}

// Trim continues the round, or begins today's. It returns how many events it removed.
func (t Trimmer) Trim(ctx context.Context) (removed int, err error) {
	now := time.Now()
	if t.Now != nil {
		now = t.Now()
	}
	cell, err := t.Cells.Cell(ctx, roundCell)
	if err != nil {
		return 0, err
	}
	var r round
	if json.Unmarshal([]byte(cell.Value), &r) != nil || r.Done && r.Began != date.Of(now) { // a cell that cannot be read begins a round too
		r = round{Began: date.Of(now)}
	}
	if r.Done {
		return 0, nil
	}
	p, err := t.Store.Expire(ctx, now.AddDate(0, 0, -cmp.Or(t.Days, DefaultDays)), r.Last, perTrim)
	if err != nil && p.Last == r.Last {
		return p.Removed, err
	}
	r.Last, r.Done = p.Last, p.Done
	data, e := json.Marshal(r)
	if e == nil {
		_, _, e = t.Cells.Swap(ctx, roundCell, cell, string(data)) // a run that came first has kept its own progress, and this one looks again
	}
	return p.Removed, cmp.Or(err, e)
}
