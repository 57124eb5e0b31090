package flight_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/flight"
)

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		reads, fails, slow := 0, error(nil), time.Duration(0)
		k := flight.Kept[int]{
			Read: func(ctx context.Context) (int, error) {
				mu.Lock()
				reads++
				n, err, takes := reads, fails, slow
				mu.Unlock()
				select {
				case <-time.After(takes):
					return n, err
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			},
			Fresh: time.Hour, Stale: 24 * time.Hour, Pause: 30 * time.Second, Timeout: 10 * time.Second, Wait: 2 * time.Second, Now: time.Now,
		}
		broken := errors.New("broken")
		set := func(err error, takes time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			fails, slow = err, takes
		}
		step := func(name string, after time.Duration, want, wantReads int, wantErr error) {
			t.Helper()
			time.Sleep(after)
			got, err := k.Get(t.Context())
			mu.Lock()
			defer mu.Unlock()
			if got != want && wantErr == nil || !errors.Is(err, wantErr) || reads != wantReads {
				t.Errorf("%s: %d, %v after %d readings, want %d, %v after %d", name, got, err, reads, want, wantErr, wantReads)
			}
		}
		set(broken, 0)
		step("nothing can be read", 0, 0, 1, broken)
		step("in the pause while nothing serves", 4*time.Second, 0, 1, broken)
		set(nil, 0)
		step("after that", 2*time.Second, 2, 2, nil)
		step("fresh", 59*time.Minute, 2, 2, nil)
		step("not fresh", 2*time.Minute, 3, 3, nil)
		set(broken, 0)
		step("the old one serves", 2*time.Hour, 3, 4, nil)
		step("and nobody asks in the pause", 29*time.Second, 3, 4, nil)
		step("afterwards somebody does", time.Minute, 3, 5, nil)
		step("until it is stale", 24*time.Hour, 0, 6, broken)
		set(nil, 0)
		step("and is read again", time.Minute, 7, 7, nil)
		set(nil, 5*time.Second)
		step("who waits for a slow one gets the old one", 2*time.Hour, 7, 8, nil)
		synctest.Wait()
		step("and the new one later", 5*time.Second, 8, 8, nil)
		set(nil, 0)
		for i, want := range []bool{true, false} {
			if got, ok, err := k.Search(t.Context()); ok != want || err != nil || ok && got != 9 {
				t.Errorf("search %d: %d, %v, %v", i, got, ok, err)
			}
		}
		time.Sleep(30 * time.Second)
		if got, ok, err := k.Search(t.Context()); !ok || err != nil || got != 10 {
			t.Errorf("a search after the pause: %d, %v, %v", got, ok, err)
		}
		set(nil, time.Minute)
		if _, err := k.Renew(t.Context()); !errors.Is(err, context.DeadlineExceeded) || k.Failure() == nil || k.Last() != 10 {
			t.Errorf("a reading that does not end: %v, %v, %d", err, k.Failure(), k.Last())
		}
	})
}
