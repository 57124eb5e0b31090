package verification_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/verification"
)

// heap starts sampling the heap in use. stop returns the peak above the initial size.
func heap() (stop func() (peak uint64)) {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peaked := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse-min(now.HeapInuse, before.HeapInuse))
			select {
			case <-done:
				peaked <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(done)
		return <-peaked
	}
}

// The client and the hostile server share this heap.
func TestHostileServersHeap(t *testing.T) {
	const ceiling = 32 << 20
	for _, scenario := range []string{"huge", "hostile-bulky", "hostile-nested", "hostile-string", "hostile-bomb", "hostile-bomb-read"} {
		t.Run(scenario, func(t *testing.T) {
			s := newSandbox(t)
			asked := target(t, scenario)
			stop, start := heap(), time.Now()
			r := s.Verify(t.Context(), asked)
			peak := stop()
			if r.Status != verification.Fail || peak > ceiling {
				t.Errorf("status %s, the heap rose by %d bytes", r.Status, peak)
			}
			t.Logf("%v, heap +%.1f MB", time.Since(start).Round(time.Millisecond), float64(peak)/1e6)
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	const (
		many    = 1000
		ceiling = 200 << 20
	)
	s := newSandbox(t)
	asked := target(t, "clinic")
	stop, start := heap(), time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes, outcomes := map[string]int{}, map[verification.Outcome]int{}
	for range many {
		wg.Go(func() {
			r := s.Verify(t.Context(), asked)
			failed, _ := r.Failed()
			mu.Lock()
			defer mu.Unlock()
			codes[string(r.Status)+" "+failed.Code]++
			outcomes[r.Outcome()]++
		})
	}
	wg.Wait()
	peak := stop()
	t.Logf("%d verifications in %v, heap +%.0f MB, at most %d connections per host: %v", many, time.Since(start).Round(time.Millisecond), float64(peak)/1e6, s.conns.peak, codes)
	// On a busy machine some verifications wait for the CPU until they time out.
	if passed := outcomes[verification.OutcomeActive]; passed == 0 || passed+outcomes[verification.OutcomeTransient] != many {
		t.Errorf("not all passed: %v", codes)
	}
	if peak > ceiling {
		t.Errorf("the heap rose by %d bytes", peak)
	}
	if s.conns.peak > egress.ConnsPerHost {
		t.Errorf("%d connections to one host", s.conns.peak)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newSandbox(b)
	asked := target(b, "clinic")
	for b.Loop() {
		if r := s.Verify(b.Context(), asked); r.Status != verification.Pass {
			b.Fatal(r)
		}
	}
}
