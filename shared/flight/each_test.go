package flight_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"fhirlink/shared/flight"
)

func TestEach(t *testing.T) {
	var running, most, sum atomic.Int64
	err := flight.Each(t.Context(), 50, 4, func(_ context.Context, i int) error {
		most.Store(max(most.Load(), running.Add(1)))
		sum.Add(int64(i))
		running.Add(-1)
		return nil
	})
	if err != nil || sum.Load() != 49*50/2 || most.Load() > 4 {
		t.Errorf("%v, the sum is %d, %d at once", err, sum.Load(), most.Load())
	}
	broken := errors.New("broken")
	err = flight.Each(t.Context(), 2, 2, func(ctx context.Context, i int) error {
		if i == 0 {
			return broken
		}
		<-ctx.Done() // the other call's error ends this one
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	err = flight.Each(t.Context(), 1, 1, func(context.Context, int) error { panic("canary") })
	if err == nil || !strings.Contains(err.Error(), "each_test.go") {
		t.Errorf("%v", err)
	}
}
