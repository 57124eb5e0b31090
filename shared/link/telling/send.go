package telling

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
)

const (
	// sendTime bounds one attempt.
	sendTime = 20 * time.Second
	// sendAtOnce is how many deliveries of one link are under way at the same time.
	sendAtOnce = 4
)

// Sender makes deliveries. Without a Channel and without a Mailer there are no receivers.
type Sender struct {
	Channel notify.Channel
	Mailer  notify.Mailer
	Log     *slog.Logger
}

// Deliveries are those that a new notice about the link needs. Organizations that set nothing up
// are told nothing of what happens until they do.
func (s Sender) Deliveries(ctx context.Context, a About, now time.Time) (all []Delivery, err error) {
	if s.Mailer != nil && len(a.Contacts) > 0 {
		all = append(all, Delivery{Target: mailTarget, Next: nextDigest(a.Organization, now)})
	}
	if s.Channel == nil {
		return all, nil
	}
	targets, err := s.Channel.Targets(ctx, a.Organization)
	if err != nil {
		return nil, fmt.Errorf("who is to be told about link %s is not known: %w", a.Slug, err)
	}
	for _, t := range targets {
		all = append(all, Delivery{Target: t, Next: date.Stored(now)})
	}
	return all, nil
}

// Send makes one attempt at each delivery and fills in the results. What it does not get to is
// tried again when its claim has lapsed.
func (s Sender) Send(ctx context.Context, a About, attempts []Attempt) {
	var group errgroup.Group
	group.SetLimit(sendAtOnce)
	for i := range attempts {
		group.Go(func() error {
			attempts[i].Result = s.deliver(ctx, a, attempts[i])
			return nil
		})
	}
	_ = group.Wait() // its functions return nil always
}

func (s Sender) deliver(ctx context.Context, about About, a Attempt) (r notify.Result) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	defer func() {
		if recover() != nil {
			s.Log.ErrorContext(ctx, "notice.panic", "link", about.Slug, "target", a.Delivery.Target.String(), "stack", string(debug.Stack()))
			r = notify.Result{Outcome: notify.Retry, Reason: "the channel failed"}
		}
	}()
	if s.Channel == nil {
		return notify.Result{Outcome: notify.Gone, Reason: "there is no channel any more"}
	}
	r = s.Channel.Deliver(ctx, about.Organization, a.Delivery.Target, about.event(a.Notice))
	s.Log.InfoContext(ctx, "notice.sent", "link", about.Slug, "organization", about.Organization, "type", string(a.Notice.Type), "id", a.Notice.ID,
		"target", a.Delivery.Target.String(), "attempt", a.Delivery.Attempts+1, "outcome", r.Outcome.String(), "reason", r.Reason)
	return r
}

// Delivered counts the attempts that a receiver has acknowledged.
func Delivered(attempts []Attempt) (n int) {
	for _, a := range attempts {
		if a.Result.Outcome == notify.Delivered {
			n++
		}
	}
	return n
}

// LogAbandoned logs the deliveries that are not tried again although they failed.
func (s Sender) LogAbandoned(ctx context.Context, about About, attempts []Attempt) {
	for _, a := range attempts {
		if a.Result.Outcome == notify.Retry && a.Ends(a.Delivery) {
			s.Log.WarnContext(ctx, "notice.abandoned", "link", about.Slug, "organization", about.Organization, "type", string(a.Notice.Type), "id", a.Notice.ID,
				"target", a.Delivery.Target.String(), "attempts", a.Delivery.Attempts+1)
		}
	}
}
