package httpx

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxBuckets limits the number of organizations in memory, to about 2 MB. An evicted organization
// starts again with a full bucket.
const maxBuckets = 10_000

// RateLimit is a token bucket per key (an organization), in the memory of this instance.
type RateLimit struct {
	perMinute int
	burst     int
	now       func() time.Time

	mu      sync.Mutex // between Get and Add
	buckets *lru.Cache[string, *rate.Limiter]
}

// NewRateLimit allows each key perMinute requests a minute, and a burst of burst requests. A nil
// now means time.Now.
func NewRateLimit(perMinute, burst int, now func() time.Time) *RateLimit {
	if now == nil {
		now = time.Now
	}
	buckets, err := lru.New[string, *rate.Limiter](maxBuckets)
	if err != nil {
		panic(err) // only if the size is not positive
	}
	return &RateLimit{perMinute: perMinute, burst: burst, now: now, buckets: buckets}
}

// Take takes one request from the key's bucket and returns 0. If the bucket is empty, Take returns
// the wait until the next request is allowed. A nil RateLimit has no limit.
func (l *RateLimit) Take(key string) time.Duration {
	if l == nil {
		return 0
	}
	now := l.now()
	reservation := l.bucket(key).ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

func (l *RateLimit) bucket(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets.Get(key)
	if !ok {
		b = rate.NewLimiter(rate.Limit(l.perMinute)/60, l.burst)
		l.buckets.Add(key, b)
	}
	return b
}
