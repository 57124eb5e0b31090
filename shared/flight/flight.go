package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// Group shares work by key. The zero Group is ready to use.
type Group[T any] struct{ flights singleflight.Group }

// Do joins the work in progress for key, or starts do, and waits for it until ctx ends. A caller
// that leaves does not end the work for the others. timeout limits the work itself.
func (g *Group[T]) Do(ctx context.Context, key string, timeout time.Duration, do func(context.Context) (T, error)) (T, error) {
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-g.flights.DoChan(key, bounded(ctx, timeout, do)):
		return r.Val.(T), r.Err
	}
}

// Go is like Do but does not wait. The channel delivers the result once.
func (g *Group[T]) Go(ctx context.Context, key string, timeout time.Duration, do func(context.Context) (T, error)) <-chan singleflight.Result {
	return g.flights.DoChan(key, bounded(ctx, timeout, do))
}

// Forget makes the next call for key start new work.
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
