package notify

import (
	"context"
	"fmt"
)

// Target is one receiver of an organization's events. It is comparable, and JSON keeps it.
type Target struct {
	Channel string `json:"channel"` // Name of the channel that it belongs to
	ID      string `json:"id"`      // the channel's own, stable as long as the target exists
}

// String is for logs.
func (t Target) String() string { return t.Channel + "/" + t.ID }

// Channel carries events out, one at a time.
type Channel interface {
	// Name is the same always: webhook, eventgrid.
	Name() string
	// Targets are where the organization's events go now; none when it has set nothing up.
	// An error says that it could not be found out: ask again later.
	Targets(ctx context.Context, organization string) ([]Target, error)
	// Deliver makes one attempt, which takes 20 seconds at most, and less if ctx ends before.
	Deliver(ctx context.Context, organization string, t Target, e Event) Result
}

// Mailer sends digests.
type Mailer interface {
	// Digest makes one attempt to send one mail to all contacts, in 30 seconds at most.
	// Delivered means that the mail server took it for at least one of them; Reason says for
	// how many it did not. Gone means that it will never take it as it is.
	Digest(ctx context.Context, d Digest) Result
}

// Digest is what an organization is told by e-mail on one day.
type Digest struct {
	Organization string
	Day          string   // UTC, 2006-01-02
	Contacts     []string // e-mail addresses; they do not see each other
	Events       []Event  // in the order to be told
}

// Channels are several channels as one Channel.
type Channels []Channel

// Name is no channel's.
func (c Channels) Name() string { return "all" }

// Targets are those of every channel.
func (c Channels) Targets(ctx context.Context, organization string) ([]Target, error) {
	var all []Target
	for _, channel := range c {
		targets, err := channel.Targets(ctx, organization)
		if err != nil {
			return nil, fmt.Errorf("targets of %s: %w", channel.Name(), err)
		}
		all = append(all, targets...)
	}
	return all, nil
}

// Deliver has the target's own channel deliver. A target of a channel that is no longer set
// up is Gone.
func (c Channels) Deliver(ctx context.Context, organization string, t Target, e Event) Result {
	for _, channel := range c {
		if channel.Name() == t.Channel {
			return channel.Deliver(ctx, organization, t, e)
		}
	}
	return Result{Outcome: Gone, Reason: "the channel is no longer set up"}
}
