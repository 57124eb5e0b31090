package cmd_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/verification"
)

// BenchmarkVerification runs whole verifications through azidentity, the guarded client and TLS,
// with upstreams that take 20 ms. Each starts without a connection, as most do.
func BenchmarkVerification(b *testing.B) {
	c := newClinics(b, public)
	asked, verifier := c.target(b, "clinic"), c.verifier()
	c.latency = 20 * time.Millisecond
	var spent []time.Duration
	for range 21 {
		c.client.CloseIdleConnections()
		start := time.Now()
		if r := verifier.Verify(b.Context(), asked); r.Status != verification.Pass {
			b.Fatalf("%+v", r)
		}
		spent = append(spent, time.Since(start))
	}
	took := median(spent)
	table.report(took <= 300*time.Millisecond, "a whole verification, upstreams 20 ms away", "≤ 300 ms", "%v (median of 21)", took.Round(time.Millisecond))

	c.latency = 0
	most, at := int64(0), ""
	for _, scenario := range []string{"clinic", "readonly", "norole", "audience", "anonymous", "throttled", "tenant-smart-only", "tenant-unknown", "no-challenge", "metadata-auth-required"} {
		c.requests.Store(0)
		verifier.Verify(b.Context(), c.target(b, scenario))
		if n := c.requests.Load(); n > most {
			most, at = n, scenario
		}
	}
	table.report(most <= 7, "a whole verification: requests upstream", "≤ 7", "%d at most (%s)", most, at)
}

// BenchmarkVerifications runs 1,000 of them at once. The memory of the stand-ins is included.
func BenchmarkVerifications(b *testing.B) {
	const many = 1000
	c := newClinics(b, public)
	asked, verifier := c.target(b, "clinic"), c.verifier()
	stop, start := sampleHeap(), time.Now()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		found = map[string]int{}
	)
	for range many {
		group.Go(func() {
			r := verifier.Verify(b.Context(), asked)
			failed, _ := r.Failed()
			mu.Lock()
			defer mu.Unlock()
			found[string(r.Status)+" "+failed.Code]++
		})
	}
	group.Wait()
	took, peak := time.Since(start), stop()
	// On a busy machine some verifications time out.
	slow := found["fail fhir_timeout"] + found["fail connect_timeout"] + found["fail entra_unreachable"]
	table.report(peak <= 200e6 && found["pass "]+slow == many && found["pass "] > 0, "1,000 verifications at once: memory", "≤ 200 MB",
		"%.0f MB; %d passed within %v, %d gave up", float64(peak)/1e6, found["pass "], took.Round(10*time.Millisecond), slow)
	table.report(c.conns.peak <= egress.ConnsPerHost, "1,000 verifications at once: connections to one host", "≤ 64", "%d", c.conns.peak)
}

// sampleHeap measures how far the memory in use rises above its current size, until stop is
// called.
func sampleHeap() (stop func() (peak uint64)) {
	before := heap()
	done, peaked := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse+now.StackInuse-min(now.HeapInuse+now.StackInuse, before))
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
