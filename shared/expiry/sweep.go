// Package expiry is the timer's work: once a minute it looks at the links that are due, and
// at no others. It reports secrets whose end comes nearer, verifies again what waits or
// failed, and finishes what a crash left. The same [Sweep] runs under the Azure timer, the
// AWS schedule and cmd/local.
package expiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/link"
)

const (
	// runTime bounds one run, so that it ends before the next and before the host's patience.
	runTime = 50 * time.Second
	// linkTime bounds the work on one link; a verification takes at most 25 s.
	linkTime = 30 * time.Second
	// atOnce is how many links are worked on at the same time.
	atOnce = 8
	// perRun bounds how many links one run takes up; the next run takes up the rest.
	perRun = 2000
)

// Links is what a sweep needs; *link.Service is the one.
type Links interface {
	Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error
	Tend(ctx context.Context, slug link.Slug) (link.Finding, error)
}

// Sweep is the timer's function. The zero Now is time.Now, the zero Log slog.Default().
type Sweep struct {
	Links Links
	Now   func() time.Time
	Log   *slog.Logger
}

// Result counts what one run did.
type Result struct {
	Due, Done, Failed, Left int // Left: not taken up for want of time
	Notices                 int // links whose secret's end has come nearer
}

// String is the one line that the host shows of a run.
func (r Result) String() string {
	return fmt.Sprintf("secret-expiry: %d due, %d done, %d failed, %d left for the next run, %d notices", r.Due, r.Done, r.Failed, r.Left, r.Notices)
}

// Run looks at everything that is due now and ends within 50 s. A link that fails, hangs or
// panics does not keep the others from being looked at. The error is about the index itself.
func (s Sweep) Run(ctx context.Context) (Result, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	due, err := s.due(ctx)
	r := s.tendAll(ctx, due)
	s.Log.InfoContext(ctx, "sweep.done", "due", r.Due, "done", r.Done, "failed", r.Failed, "left", r.Left, "notices", r.Notices, "complete", err == nil)
	return r, err
}

func (s Sweep) due(ctx context.Context) ([]link.Slug, error) {
	var due []link.Slug
	err := s.Links.Due(ctx, s.Now(), func(slug link.Slug) bool {
		due = append(due, slug)
		return len(due) < perRun
	})
	if errors.Is(err, link.ErrUnavailable) {
		err = fmt.Errorf("the table of links did not answer completely; the next run looks again: %w", link.ErrUnavailable)
	}
	return due, err
}

func (s Sweep) tendAll(ctx context.Context, due []link.Slug) Result {
	var done, failed, notices, left atomic.Int64
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, slug := range due {
		if ctx.Err() != nil {
			left.Add(1)
			continue
		}
		group.Go(func() error {
			f, err := s.tend(ctx, slug)
			if err != nil {
				failed.Add(1)
				s.Log.ErrorContext(ctx, "sweep.failed", "link", slug, "cause", err.Error())
				return nil
			}
			done.Add(1)
			if f.Notice {
				notices.Add(1)
			}
			s.report(ctx, f)
			return nil
		})
	}
	_ = group.Wait() // its functions return nil always
	return Result{Due: len(due), Done: int(done.Load()), Failed: int(failed.Load()), Left: int(left.Load()), Notices: int(notices.Load())}
}

// tend turns a panic into an error, so that one link's fault stays its own.
func (s Sweep) tend(ctx context.Context, slug link.Slug) (f link.Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %s", debug.Stack())
		}
	}()
	return s.Links.Tend(ctx, slug)
}

// report logs what was found; a secret's end is worth a warning.
func (s Sweep) report(ctx context.Context, f link.Finding) {
	level := slog.LevelInfo
	if f.Notice && f.State != link.SecretOK {
		level = slog.LevelWarn
	}
	attrs := []any{"link", f.Slug, "organization", f.Organization, "did", strings.Join(f.Did, "; "), "notice", f.Notice}
	if f.Status != "" {
		attrs = append(attrs, "status", f.Status, "secretState", f.State)
	}
	if !f.ExpiresOn.IsZero() {
		attrs = append(attrs, "expiresOn", f.ExpiresOn, "daysLeft", f.DaysLeft)
	}
	s.Log.Log(ctx, level, "sweep.finding", attrs...)
}
