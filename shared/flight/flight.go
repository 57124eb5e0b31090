package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// Group shares work by key. The zero Group is ready for use.
type Group[T any] struct{ flights singleflight.Group }

// Do joins the work that is under way for key, or starts do, and waits for it as long as ctx
// allows. A caller that leaves does not end the work for the others.
func (g *Group[T]) Do(ctx context.Context, key string, timeout time.Duration, do func(context.Context) (T, error)) (T, error) {
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-g.flights.DoChan(key, bounded(ctx, timeout, do)):
		return r.Val.(T), r.Err
	}
}

// Go is Do for a caller that need not wait: the result comes over the channel, once.
func (g *Group[T]) Go(ctx context.Context, key string, timeout time.Duration, do func(context.Context) (T, error)) <-chan singleflight.Result {
	return g.flights.DoChan(key, bounded(ctx, timeout, do))
}

// Forget makes the next call for key start work of its own.
func (g *Group[T]) Forget(key string) { g.flights.Forget(key) }

func bounded[T any](ctx context.Context, timeout time.Duration, do func(context.Context) (T, error)) func() (any, error) {
	ctx = context.WithoutCancel(ctx)
	return func() (result any, err error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer func() {
			if recover() != nil {
				var none T
				result, err = none, fmt.Errorf("panic: %s", debug.Stack())
			}
		}()
		return do(ctx)
	}
}
