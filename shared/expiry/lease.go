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
	// leaseTime is how long a run that is not heard of keeps others from starting.
	leaseTime = 30 * time.Second
	// beat is how often a run says that it is still there.
	beat = 10 * time.Second
	// leaseCall bounds one such call.
	leaseCall = 5 * time.Second
	// spacing is the least time between the starts of two runs for RunUnlessRecent. The timer
	// fires once a minute.
	spacing = 30 * time.Second
)

// Heartbeat is what the runs of the timer leave for each other and for who watches them.
type Heartbeat struct {
	Fence       int64     `json:"fence"`       // raised by every run; the greatest is the run that counts
	Holder      string    `json:"holder"`      // of the run that is under way; empty: none
	Until       time.Time `json:"until"`       // when its lease ends, unless it is heard of again
	StartedAt   time.Time `json:"startedAt"`   // of the latest run
	SucceededAt time.Time `json:"succeededAt"` // when a run last did all that was due; zero: never
	Done        int       `json:"done"`        // links that the latest run was done with when it was last heard of
}

// ReadHeartbeat returns the heartbeat; the zero one before the first run.
func ReadHeartbeat(ctx context.Context, cells store.Cells) (Heartbeat, error) {
	_, h, err := readHeartbeat(ctx, cells)
	return h, err
}

func readHeartbeat(ctx context.Context, cells store.Cells) (c store.Cell, h Heartbeat, err error) {
	c, err = cells.Cell(ctx, leaseCell)
	if err != nil || c.Value == "" {
		return c, h, err
	}
	if err := json.Unmarshal([]byte(c.Value), &h); err != nil { // the next run writes it again
		return c, Heartbeat{}, nil
	}
	return c, h, nil
}

// skip is an error that says why a run does nothing.
type skip string

const (
	held   skip = "another run is under way"
	recent skip = "the last run started less than 30 s ago"
)

func (s skip) Error() string { return string(s) }

// lease is the right to sweep. Every write behind it compares the cell with what this run wrote
// last: a run that slept past its lease finds that it was overtaken, and stops. What it wrote to
// links until then is as safe as ever, because every such write compares the row.
type lease struct {
	cells store.Cells
	now   func() time.Time
	cell  store.Cell
	state Heartbeat
}

// acquire takes the lease, or returns held, or recent when the last run started less than apart
// ago. A time further ahead than any that a run writes comes from a clock that was wrong,
// and does not count.
func acquire(ctx context.Context, cells store.Cells, now func() time.Time, apart time.Duration) (*lease, error) {
	l := &lease{cells: cells, now: now}
	var err error
	if l.cell, l.state, err = readHeartbeat(ctx, cells); err != nil {
		return nil, err
	}
	at := now()
	if left := l.state.Until.Sub(at); l.state.Holder != "" && left > 0 && left <= leaseTime {
		return nil, held
	}
	if at.Sub(l.state.StartedAt).Abs() < apart {
		return nil, recent
	}
	l.state.Fence++
	l.state.Holder, l.state.StartedAt, l.state.Done = rand.Text(), at.UTC(), 0
	mine, err := l.write(ctx)
	if err != nil {
		return nil, err
	}
	if !mine {
		return nil, held
	}
	return l, nil
}

// write says that this run is there; held is false when another one has taken over.
func (l *lease) write(ctx context.Context) (held bool, err error) {
	l.state.Until = l.now().UTC().Add(leaseTime)
	return l.put(ctx)
}

func (l *lease) put(ctx context.Context) (held bool, err error) {
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

// keep renews the lease until ctx ends, and calls lost when another run has taken over. done is
// how many links this run is done with by then.
func (l *lease) keep(ctx context.Context, done func() int, lost func()) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.state.Done = done()
		call, cancel := context.WithTimeout(ctx, leaseCall)
		held, err := l.write(call)
		cancel()
		if err == nil && !held {
			lost()
			return
		}
	}
}

// release ends the lease. complete says that all that was due was done.
func (l *lease) release(ctx context.Context, done int, complete bool) (held bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseCall)
	defer cancel()
	at := l.now().UTC()
	l.state.Holder, l.state.Until, l.state.Done = "", at, done
	if complete {
		l.state.SucceededAt = at
	}
	return l.put(ctx)
}
