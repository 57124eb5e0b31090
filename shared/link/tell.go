package link

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/notify"
	"fhirlink/shared/store"
)

const (
	// claimFor is how long a claimed delivery is left to the run that claimed it. It is longer
	// than a run of the timer, so that a second attempt never overlaps the first.
	claimFor = 2 * time.Minute
	// sendTime bounds one attempt.
	sendTime = 20 * time.Second
	// sendAtOnce is how many deliveries of one link are under way at the same time.
	sendAtOnce = 4
)

// errNothing means that there is nothing to write.
var errNothing = errors.New("nothing to write")

// attempt is one delivery that this process has claimed.
type attempt struct {
	notice   Notice
	delivery Delivery
	result   notify.Result
}

// tell records what is to be told about a link by now and makes the deliveries that are due:
// claim, send, acknowledge. A crash before the claim leaves all as it was; after it, the claim
// lapses and the delivery is made again, under the same ID. It returns the row as it is now,
// the zero Link when it could not be read.
func (s *Service) tell(ctx context.Context, slug Slug, f *Finding) (Link, error) {
	l, mine, noticed, err := s.claim(ctx, slug)
	if l.Slug == "" {
		return Link{}, err
	}
	f.of(l, noticed, s.now())
	mail := slices.DeleteFunc(slices.Clone(mine), func(a attempt) bool { return a.delivery.Target != mailTarget })
	mine = slices.DeleteFunc(mine, func(a attempt) bool { return a.delivery.Target == mailTarget })
	if len(mail) > 0 {
		f.Letters = append(f.Letters, Letter{link: l, attempts: mail})
	}
	if len(mine) == 0 {
		return l, err
	}
	s.send(ctx, l, mine)
	f.Did = append(f.Did, fmt.Sprintf("sent %d of its notifications", len(mine)))
	return l, errors.Join(err, s.acknowledge(ctx, l, mine))
}

// of takes over what is to be reported of a live link.
func (f *Finding) of(l Link, noticed bool, now time.Time) {
	f.Organization = l.Organization
	if l.Phase != Live {
		return
	}
	f.Notice = f.Notice || noticed
	f.Status, f.State, f.ExpiresOn = l.Status(now), l.SecretState(now), l.Secret.ExpiresOn
	if !f.ExpiresOn.IsZero() {
		f.DaysLeft = l.DaysLeft(now)
	}
}

// claim is the one write before anything is sent: what is to be told by now, to whom, and who
// sends it.
func (s *Service) claim(ctx context.Context, slug Slug) (l Link, mine []attempt, noticed bool, err error) {
	var unaddressed error
	written, err := s.update(ctx, slug, func(row Link) (Link, error) {
		l, mine, noticed, unaddressed = row, nil, false, nil
		if row.Phase != Live {
			return Link{}, errNothing
		}
		now := s.now()
		noticed = s.notice(&row, now)
		addressed, err := s.address(ctx, &row, now)
		unaddressed = err
		mine = row.claim(now)
		if !noticed && !addressed && len(mine) == 0 && row.NoticeAt.Equal(s.nextNotice(row)) {
			return Link{}, errNothing
		}
		return row, nil
	})
	switch {
	case errors.Is(err, errNothing):
		return l, nil, false, unaddressed
	case errors.Is(err, store.ErrNotFound):
		return Link{}, nil, false, err
	case err != nil:
		return Link{}, nil, false, err
	}
	return written, mine, noticed, unaddressed
}

// address writes down to whom new notices go. Nobody at all is told of what happens while an
// organization has set nothing up.
func (s *Service) address(ctx context.Context, l *Link, now time.Time) (done bool, err error) {
	fresh := func(n Notice) bool { return n.Deliveries == nil }
	if !slices.ContainsFunc(l.Notices, fresh) {
		return false, nil
	}
	deliveries, err := s.deliveries(ctx, *l, now)
	if err != nil {
		return false, err
	}
	for i, n := range l.Notices {
		if fresh(n) {
			l.Notices[i].Deliveries = append([]Delivery{}, deliveries...)
		}
	}
	l.dropDelivered()
	return true, nil
}

// deliveries are those that a new notice of the link needs.
func (s *Service) deliveries(ctx context.Context, l Link, now time.Time) (all []Delivery, err error) {
	if s.channel != nil {
		targets, err := s.channel.Targets(ctx, l.Organization)
		if err != nil {
			return nil, fmt.Errorf("who is to be told about link %s is not known: %w", l.Slug, err)
		}
		for _, t := range targets {
			all = append(all, Delivery{Target: t, Next: storedTime(now)})
		}
	}
	if s.mailer != nil && len(l.Contacts) > 0 {
		all = append([]Delivery{{Target: mailTarget, Next: nextDigest(l.Organization, now)}}, all...)
	}
	return all[:min(len(all), maxDeliveries)], nil
}

// dropDelivered forgets notices of which everybody has been told. One that came meanwhile and
// is not yet addressed stays.
func (l *Link) dropDelivered() {
	l.Notices = slices.DeleteFunc(slices.Clone(l.Notices), func(n Notice) bool { return n.Deliveries != nil && len(n.Deliveries) == 0 })
}

// claim takes every delivery that is due for this process.
func (l *Link) claim(now time.Time) (mine []attempt) {
	for _, n := range l.Notices {
		for i := range n.Deliveries {
			d := &n.Deliveries[i]
			if now.Before(d.Next) {
				continue
			}
			d.Claim, d.Next = word(), storedTime(now.Add(claimFor))
			mine = append(mine, attempt{notice: n, delivery: *d})
		}
	}
	return mine
}

// send makes one attempt at each delivery. What it does not get to is tried again when its
// claim has lapsed.
func (s *Service) send(ctx context.Context, l Link, mine []attempt) {
	var group errgroup.Group
	group.SetLimit(sendAtOnce)
	for i := range mine {
		group.Go(func() error {
			mine[i].result = s.deliver(ctx, l, mine[i])
			return nil
		})
	}
	_ = group.Wait() // its functions return nil always
}

func (s *Service) deliver(ctx context.Context, l Link, a attempt) (r notify.Result) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	defer func() {
		if recover() != nil {
			s.log.ErrorContext(ctx, "notice.panic", "link", l.Slug, "target", a.delivery.Target.String(), "stack", string(debug.Stack()))
			r = notify.Result{Outcome: notify.Retry, Reason: "the channel failed"}
		}
	}()
	if s.channel == nil {
		return notify.Result{Outcome: notify.Gone, Reason: "there is no channel any more"}
	}
	r = s.channel.Deliver(ctx, l.Organization, a.delivery.Target, l.told(a.notice))
	s.log.InfoContext(ctx, "notice.sent", "link", l.Slug, "organization", l.Organization, "type", string(a.notice.Type), "id", a.notice.ID,
		"target", a.delivery.Target.String(), "attempt", a.delivery.Attempts+1, "outcome", r.Outcome.String(), "reason", r.Reason)
	return r
}

// acknowledge writes down what became of the attempts: one write for all of a link.
func (s *Service) acknowledge(ctx context.Context, l Link, mine []attempt) error {
	ctx, cancel := aside(ctx)
	defer cancel()
	_, err := s.update(ctx, l.Slug, func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != l.ID {
			return Link{}, errLost
		}
		for _, a := range mine {
			row.settleDelivery(a, s.now())
		}
		row.dropDelivered()
		return row, nil
	})
	for _, a := range mine {
		if a.result.Outcome == notify.Retry && a.ends(a.delivery) {
			s.log.WarnContext(ctx, "notice.abandoned", "link", l.Slug, "organization", l.Organization, "type", string(a.notice.Type), "id", a.notice.ID,
				"target", a.delivery.Target.String(), "attempts", a.delivery.Attempts+1)
		}
	}
	return ignore(err, errLost, store.ErrNotFound)
}

// settleDelivery takes over the result of an attempt. That the receiver has it counts whoever
// says so; a failure counts only from whoever still holds the claim.
func (l *Link) settleDelivery(a attempt, now time.Time) {
	for i, n := range l.Notices {
		if n.ID == a.notice.ID {
			l.Notices[i].Deliveries = slices.DeleteFunc(n.Deliveries, func(d Delivery) bool {
				return d.Target == a.delivery.Target && a.ends(d)
			})
			for j := range l.Notices[i].Deliveries {
				if d := &l.Notices[i].Deliveries[j]; d.Claim == a.delivery.Claim {
					wait, _ := a.result.Next(d.Attempts + 1)
					d.Claim, d.Attempts, d.Next = "", d.Attempts+1, storedTime(now.Add(wait))
				}
			}
		}
	}
}

// ends tells whether the attempt was the delivery's last.
func (a attempt) ends(d Delivery) bool {
	if a.result.Outcome != notify.Retry {
		return true
	}
	_, again := a.result.Next(d.Attempts + 1)
	return d.Claim == a.delivery.Claim && !again
}
