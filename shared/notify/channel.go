package notify

import (
	"context"
	"fmt"
)

// Target is one receiver of an organization's events. It is comparable, and survives a round trip
// through JSON.
type Target struct {
	Channel string `json:"channel"` // Name of the target's channel
	ID      string `json:"id"`      // chosen by the channel; stable as long as the target exists
}

// String returns the target for logs, as "channel/id".
func (t Target) String() string { return t.Channel + "/" + t.ID }

// Channel delivers events, one at a time.
type Channel interface {
	// Name returns a constant: webhook, eventgrid.
	Name() string
	// Targets returns where the organization's events go now, and nothing if it has set nothing
	// up. An error means that the targets are not known; retry later.
	Targets(ctx context.Context, organization string) ([]Target, error)
	// Deliver makes one attempt. It takes at most 20 seconds, or less if ctx ends earlier.
	Deliver(ctx context.Context, organization string, t Target, e Event) Result
}

// Mailer sends digests.
type Mailer interface {
	// Digest makes one attempt to send one mail to all contacts, in at most 30 seconds. Delivered
	// means that the mail server accepted it for at least one contact; Reason says for how many.
	// Gone means that the server will never accept it unchanged.
	Digest(ctx context.Context, d Digest) Result
}

// Digest is the content of the e-mail to an organization on one day.
type Digest struct {
	Organization string
	Day          string   // UTC, 2006-01-02
	Contacts     []string // e-mail addresses; they do not see each other
	Events       []Event  // in the order of the text
}

// Channels combines several channels into one Channel.
type Channels []Channel

// Name returns "all", which is no name of a single channel.
func (c Channels) Name() string { return "all" }

// Targets returns the targets of all channels.
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

// Deliver passes the event to the target's channel. If that channel is not set up any more, the
// result is Gone.
func (c Channels) Deliver(ctx context.Context, organization string, t Target, e Event) Result {
	for _, channel := range c {
		if channel.Name() == t.Channel {
			return channel.Deliver(ctx, organization, t, e)
		}
	}
	return Result{Outcome: Gone, Reason: "the channel is no longer set up"}
}
