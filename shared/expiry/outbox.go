package expiry

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"

	"fhirlink/shared/link/telling"
)

// mailsAtOnce is how many mails are sent at the same time, one per organization.
const mailsAtOnce = 4

// outbox collects the letters of a run, so that each organization gets one mail.
type outbox struct {
	mu      sync.Mutex
	letters map[string][]telling.Letter // by organization
}

func (o *outbox) add(letters []telling.Letter) {
	if len(letters) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.letters == nil {
		o.letters = map[string][]telling.Letter{}
	}
	for _, l := range letters {
		o.letters[l.About.Organization] = append(o.letters[l.About.Organization], l)
	}
}

// send sends one mail per organization. Letters that are not sent are taken up again when their
// claim has expired.
func (o *outbox) send(ctx context.Context, s Sweep) {
	var group errgroup.Group
	group.SetLimit(mailsAtOnce)
	for organization, letters := range o.letters {
		group.Go(func() error {
			if err := s.digest(ctx, letters); err != nil {
				s.Log.ErrorContext(ctx, "digest.failed", "organization", organization, "cause", err.Error())
			}
			return nil
		})
	}
	_ = group.Wait() // the functions always return nil
}

func (s Sweep) digest(ctx context.Context, letters []telling.Letter) (err error) {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %s", debug.Stack())
		}
	}()
	return s.Links.Digest(ctx, letters)
}
