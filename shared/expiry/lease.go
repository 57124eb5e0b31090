package expiry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"fhirlink/shared/store"
)

const (
	// leaseCell is the name of the cell with the Heartbeat.
	leaseCell = "sweep"
	// leaseTime is how long a run that does not renew its lease keeps other runs from starting.
	leaseTime = 30 * time.Second
	// renewEvery is the interval at which a run renews its lease.
	renewEvery = 10 * time.Second
	// leaseCall is the time limit of one call that renews or releases the lease, or postpones a
	// link.
	leaseCall = 5 * time.Second
	// minSpacing is the shortest time between the starts of two runs for RunUnlessRecent. The timer
	// fires once a minute.
	minSpacing = 30 * time.Second
)

// Heartbeat is the state that the runs share with each other and with monitoring.
type Heartbeat struct {
	Fence       int64     `json:"fence"`       // incremented by every run; the run with the greatest value owns the lease
	Holder      string    `json:"holder"`      // id of the current run; empty: none
	Until       time.Time `json:"until"`       // when its lease ends, unless the run renews it
	StartedAt   time.Time `json:"startedAt"`   // of the latest run
	SucceededAt time.Time `json:"succeededAt"` // when a run last completed everything that was due; zero: never
	Done        int       `json:"done"`        // links that the latest run had completed at its last renewal
}

// readHeartbeat returns the cell and the heartbeat in it, which is zero before the first run.
func readHeartbeat(ctx context.Context, cells store.Cells) (c store.Cell, h Heartbeat, err error) {
	c, err = cells.Cell(ctx, leaseCell)
	if err != nil || c.Value == "" {
		return c, h, err
	}
	if err := json.Unmarshal([]byte(c.Value), &h); err != nil { // the next run overwrites it
		return c, Heartbeat{}, nil
	}
	return c, h, nil
}

// skipReason is the reason why a run does nothing, as an error.
type skipReason string

const (
	skipHeld   skipReason = "another run is under way"
	skipRecent skipReason = "the last run started less than 30 s ago"
)

// Error returns the reason.
func (s skipReason) Error() string { return string(s) }

// lease is the right to sweep. Every renewal compares the cell with what this run wrote last. A
// run that sleeps past its lease finds that another run took over, and stops. Its writes to links
// are safe until then, because every such write compares the row.
type lease struct {
	cells store.Cells
	now   func() time.Time
	cell  store.Cell
	state Heartbeat
}

// acquire takes the lease. It returns skipHeld if another run has the lease, or skipRecent if the
// last run started less than apart ago. A time further ahead than any that a run writes comes
// from a wrong clock, and is ignored.
func acquire(ctx context.Context, cells store.Cells, now func() time.Time, apart time.Duration) (*lease, error) {
	l := &lease{cells: cells, now: now}
	var err error
	if l.cell, l.state, err = readHeartbeat(ctx, cells); err != nil {
		return nil, err
	}
	at := now()
	if left := l.state.Until.Sub(at); l.state.Holder != "" && left > 0 && left <= leaseTime {
		return nil, skipHeld
	}
	if at.Sub(l.state.StartedAt).Abs() < apart {
		return nil, skipRecent
	}
	l.state.Fence++
	l.state.Holder, l.state.StartedAt, l.state.Done = rand.Text(), at.UTC(), 0
	mine, err := l.renew(ctx)
	if err != nil {
		return nil, err
	}
	if !mine {
		return nil, skipHeld
	}
	return l, nil
}

// renew renews the lease; held is false when another run has taken over.
func (l *lease) renew(ctx context.Context) (held bool, err error) {
	l.state.Until = l.now().UTC().Add(leaseTime)
	return l.write(ctx)
}

func (l *lease) write(ctx context.Context) (held bool, err error) {
	data, err := json.Marshal(l.state)
	if err != nil {
		return false, fmt.Errorf("heartbeat: %w", err)
	}
	next, held, err := l.cells.Swap(ctx, leaseCell, l.cell, string(data))
	if held {
		l.cell = next
	}
	return held, err
}

// keepRenewing renews the lease until ctx ends, and calls lost when another run has taken over.
// done returns how many links this run has completed so far.
func (l *lease) keepRenewing(ctx context.Context, done func() int, lost func()) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.state.Done = done()
		call, cancel := context.WithTimeout(ctx, leaseCall)
		held, err := l.renew(call)
		cancel()
		if err == nil && !held {
			lost()
			return
		}
	}
}

// release ends the lease. complete means that everything that was due was done.
func (l *lease) release(ctx context.Context, done int, complete bool) (held bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseCall)
	defer cancel()
	at := l.now().UTC()
	l.state.Holder, l.state.Until, l.state.Done = "", at, done
	if complete {
		l.state.SucceededAt = at
	}
	return l.write(ctx)
}
