package flight

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// Each calls do for 0 to n-1, up to atOnce at the same time, and returns the first error. An error ends
// the context of the other calls. A panic in do becomes an error instead of ending the process.
func Each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() (err error) {
			defer func() {
				if recover() != nil {
					err = fmt.Errorf("panic: %s", debug.Stack())
				}
			}()
			return do(ctx, i)
		})
	}
	return group.Wait()
}
