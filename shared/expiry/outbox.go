package expiry

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

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

// send sends one mail per organization, and returns how many notices were delivered. Letters that
// are not sent are taken up again when their claim has expired.
func (o *outbox) send(ctx context.Context, s Sweep) int64 {
	var delivered atomic.Int64
	var group errgroup.Group
	group.SetLimit(mailsAtOnce)
	for organization, letters := range o.letters {
		group.Go(func() error {
			n, err := s.digest(ctx, letters)
			delivered.Add(int64(n))
			if err != nil {
				s.Log.ErrorContext(ctx, "digest.failed", "organization", organization, "cause", err.Error())
			}
			return nil
		})
	}
	_ = group.Wait() // the functions always return nil
	return delivered.Load()
}

func (s Sweep) digest(ctx context.Context, letters []telling.Letter) (delivered int, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %s", debug.Stack())
		}
	}()
	return s.Links.Digest(ctx, letters)
}
