package webhook

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/notify"
	"fhirlink/shared/store"
)

// Delivery is how the last attempt to deliver to an endpoint ended, for people who look for why
// nothing arrives.
type Delivery struct {
	At      time.Time
	Type    notify.Type // of the event
	Outcome Heard
	Reason  string
}

// Heard is what an attempt heard of the endpoint.
type Heard string

// What an attempt can hear.
const (
	HeardDelivered   Heard = "delivered"
	HeardRefused     Heard = "refused"     // an answer other than 2xx
	HeardUnreachable Heard = "unreachable" // no answer
	HeardTimeout     Heard = "timeout"     // no answer in time
)

// heardOf classifies an attempt without an answer.
func heardOf(f egress.Failure) Heard {
	if f == egress.ConnectTimeout {
		return HeardTimeout
	}
	return HeardUnreachable
}

// quiet is how long the last delivery is not written anew if it ended as the one before.
const quiet = time.Minute

// noteDelivery writes down how an attempt ended, unless the endpoint's address has changed since. It
// disables an endpoint that is gone.
func (s *Service) noteDelivery(ctx context.Context, e Endpoint, d Delivery, gone bool) {
	last := e.LastDelivery
	if !gone && d.Type != notify.WebhookTest && last != nil && last.Type == d.Type && last.Outcome == d.Outcome && last.Reason == d.Reason && d.At.Sub(last.At) < quiet {
		return
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	_, err := s.update(ctx, e.Organization, e.ID, func(row Endpoint) Endpoint {
		if row.URL == e.URL {
			if row.LastDelivery == nil || !d.At.Before(row.LastDelivery.At) { // attempts may end in another order
				row.LastDelivery = &d
			}
			if gone {
				row.setEnabled(false, "it answered 410 Gone", s.now())
			}
		}
		return row
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.log.WarnContext(ctx, "webhook.unfinished", "webhook", e.ID, "left", "to the next event", "cause", err.Error())
	}
}
