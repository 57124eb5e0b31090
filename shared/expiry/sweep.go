package expiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/link"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/store"
)

const (
	// runTime is the time limit of one run, so that it ends before the next run and before the
	// host's timeout.
	runTime = 50 * time.Second
	// tendTime is when a run stops taking up links; the rest of runTime is for mail.
	tendTime = 45 * time.Second
	// linkTime is the time limit for one link; a verification takes at most 25 s.
	linkTime = 30 * time.Second
	// abandonAfter is how much longer a run waits for a link that exceeds linkTime.
	abandonAfter = 2 * time.Second
	// atOnce is how many links a run works on at the same time.
	atOnce = 8
	// perRun limits the links of one run; the next run takes up the rest.
	perRun = 2000
)

// Links is the part of [link.Service] that a sweep needs.
type Links interface {
	Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error
	Tend(ctx context.Context, slug link.Slug) (link.Finding, error)
	// Postpone is called for every link whose Tend failed.
	Postpone(ctx context.Context, slug link.Slug) error
	// Digest receives the letters of one organization, and returns how many notices it delivered.
	Digest(ctx context.Context, letters []telling.Letter) (delivered int, err error)
}

// Trimmer removes what is too old. [fhirlink/shared/link/trail.Trimmer] does so for the trail, and
// [fhirlink/shared/smartauth/handle.Trimmer] for the launches of apps.
type Trimmer interface {
	// Trim removes a part of it, and returns how many rows.
	Trim(ctx context.Context) (removed int, err error)
}

// Sweep is the timer's function. Without a Trail, no event is removed, and without Launches nothing that
// apps have left. Without Cells, runs may overlap and there is no heartbeat. A nil Now is time.Now, a nil
// Log slog.Default().
type Sweep struct {
	Links    Links
	Trail    Trimmer
	Launches Trimmer
	Cells    store.Cells
	Now      func() time.Time
	Log      *slog.Logger
}

// Result counts what one run did.
type Result struct {
	Due, Done, Failed int
	Left              int    // not taken up because the time was over; of the links beyond perRun, only one counts
	Notices           int    // that receivers have taken
	Trimmed           int    // events that were removed from the trail
	Ended             int    // rows of launches and grants that were removed because their time is over
	Skipped           string // why this run did nothing; empty: it ran

	SucceededAt time.Time // from the heartbeat after the run; zero: never, or no Cells
}

// Run works on everything that is due and ends within 50 s. A link that fails, hangs or panics
// does not affect the others. The error is about the index itself.
func (s Sweep) Run(ctx context.Context) (Result, error) { return s.start(ctx, 0) }

// RunUnlessRecent is Run for a trigger that strangers might call. It does nothing within 30 s of
// the last run's start, in whichever process that was. So a forged call costs one read.
func (s Sweep) RunUnlessRecent(ctx context.Context) (Result, error) { return s.start(ctx, minSpacing) }

func (s Sweep) start(ctx context.Context, apart time.Duration) (Result, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	ctx, work := begin(ctx)
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	start := time.Now()
	var r Result
	var err error
	if s.Cells == nil {
		r, err = s.run(ctx, new(atomic.Int64))
	} else {
		r, err = s.runAlone(ctx, apart, cancel)
	}
	s.logRun(ctx, r, err, time.Since(start), work)
	return r, err
}

// complete reports whether a run that ended with err took up everything that was due.
func (r Result) complete(err error) bool { return err == nil && r.Left == 0 }

// runAlone runs under the lease. It calls lost when another run has taken over.
func (s Sweep) runAlone(ctx context.Context, apart time.Duration, lost func()) (Result, error) {
	lease, err := acquire(ctx, s.Cells, s.Now, apart)
	var why skipReason
	if errors.As(err, &why) {
		return Result{Skipped: string(why)}, nil
	}
	if err != nil {
		return Result{}, s.explain(err)
	}
	var done atomic.Int64
	kept := make(chan struct{})
	keeping, stop := context.WithCancel(ctx)
	go func() {
		defer close(kept)
		defer func() {
			if recover() != nil { // the lease runs out: another run may begin
				s.Log.ErrorContext(ctx, "panic", "route", "the lease of the sweep", "stack", string(debug.Stack()))
				lost()
			}
		}()
		lease.keepRenewing(keeping, func() int { return int(done.Load()) }, lost)
	}()
	r, err := s.run(ctx, &done)
	stop()
	<-kept
	if held, releaseErr := lease.release(ctx, r.Done, r.complete(err)); releaseErr != nil || !held {
		s.Log.WarnContext(ctx, "sweep.overtaken", "fence", lease.state.Fence, "reachable", releaseErr == nil)
	}
	r.SucceededAt = lease.state.SucceededAt
	return r, err
}

func (s Sweep) run(ctx context.Context, done *atomic.Int64) (Result, error) {
	due, err := s.due(ctx)
	beyond := max(0, len(due)-perRun)
	r := s.tendAll(ctx, due[:len(due)-beyond], done)
	r.Due, r.Left = r.Due+beyond, r.Left+beyond
	var trimErr error
	if r.Ended, trimErr = trim(ctx, s.Launches); trimErr != nil {
		s.Log.WarnContext(ctx, "launches.untrimmed", "left", "to the next run", "cause", trimErr.Error())
	}
	if r.Trimmed, trimErr = trim(ctx, s.Trail); trimErr != nil {
		s.Log.WarnContext(ctx, "trail.untrimmed", "left", "to the next run", "cause", trimErr.Error())
	}
	return r, err
}

// trim removes what is too old. It comes last, because links can wait less than what nobody needs any more,
// which does not mind if a run has no time for it.
func trim(ctx context.Context, of Trimmer) (removed int, err error) {
	if of == nil || ctx.Err() != nil {
		return 0, nil
	}
	return of.Trim(ctx)
}

// due returns the due links. If there are more than perRun, it returns one more than perRun.
func (s Sweep) due(ctx context.Context) ([]link.Slug, error) {
	var due []link.Slug
	err := s.Links.Due(ctx, s.Now(), func(slug link.Slug) bool {
		due = append(due, slug)
		return len(due) <= perRun
	})
	return due, s.explain(err)
}

func (s Sweep) explain(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("the table of links did not answer completely; the next run looks again: %w", err)
	}
	return err
}

func (s Sweep) tendAll(ctx context.Context, due []link.Slug, done *atomic.Int64) Result {
	var failed, notices, left atomic.Int64
	var group errgroup.Group
	var mail outbox
	group.SetLimit(atOnce)
	tending, cancel := context.WithTimeout(ctx, tendTime)
	defer cancel()
	for _, slug := range due {
		if tending.Err() != nil {
			left.Add(1)
			continue
		}
		group.Go(func() error {
			f, err := s.tend(tending, slug)
			mail.add(f.Letters)
			notices.Add(int64(f.Delivered))
			if err != nil {
				failed.Add(1)
				s.failed(ctx, slug, err)
				return nil
			}
			done.Add(1)
			s.report(ctx, f)
			return nil
		})
	}
	_ = group.Wait() // the functions always return nil
	notices.Add(mail.send(ctx, s))
	return Result{Due: len(due), Done: int(done.Load()), Failed: int(failed.Load()), Left: int(left.Load()), Notices: int(notices.Load())}
}

// tend works on one link. It turns a panic into an error, so that the panic does not end the
// process. It does not wait for work that continues after its context has ended.
func (s Sweep) tend(ctx context.Context, slug link.Slug) (link.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	type outcome struct {
		finding link.Finding
		err     error
	}
	ended := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { ended <- o }()
		defer func() {
			if p := recover(); p != nil {
				o.err = fmt.Errorf("panic: %s", debug.Stack())
			}
		}()
		o.finding, o.err = s.Links.Tend(ctx, slug)
	}()
	select {
	case o := <-ended:
		return o.finding, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-ended:
		return o.finding, o.err
	case <-time.After(abandonAfter):
		return link.Finding{Slug: slug}, fmt.Errorf("it does not end: %w", ctx.Err())
	}
}

// failed postpones a link, longer each time, so that a link that keeps failing does not use up
// the runs.
func (s Sweep) failed(ctx context.Context, slug link.Slug, err error) {
	s.Log.ErrorContext(ctx, "sweep.failed", "link", slug, "cause", err.Error())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseCall)
	defer cancel()
	defer func() {
		if recover() != nil { // the cause of a panic in Tend may cause one here too
			s.Log.ErrorContext(ctx, "sweep.unpostponed", "link", slug, "cause", "panic: "+string(debug.Stack()))
		}
	}()
	if err := s.Links.Postpone(ctx, slug); err != nil {
		s.Log.WarnContext(ctx, "sweep.unpostponed", "link", slug, "cause", err.Error())
	}
}
