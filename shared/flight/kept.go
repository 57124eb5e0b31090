package flight

import (
	"context"
	"sync"
	"time"
)

// Kept keeps a value that is read from elsewhere: it is read when it is first needed, and again when it
// is older than Fresh. While that fails, a value that is younger than Stale goes on serving, and nobody
// tries again for Pause. Without such a value, callers are told of the failure, and somebody tries again
// after five seconds at most.
type Kept[T any] struct {
	Read    func(ctx context.Context) (T, error) // once for all callers that wait
	Fresh   time.Duration
	Stale   time.Duration
	Pause   time.Duration
	Timeout time.Duration // of one reading
	Wait    time.Duration // for a newer value, while there is one that is not stale
	Now     func() time.Time

	flights Group[T]
	mu      sync.Mutex
	value   T
	read    time.Time // zero: nothing was read yet
	failure error
	failed  time.Time

	searched time.Time
}

// hurry is how long nobody tries again while nothing serves.
const hurry = 5 * time.Second

// Get returns the value. The error is that of Read, or of ctx.
func (k *Kept[T]) Get(ctx context.Context) (T, error) {
	value, age, ok := k.last()
	failed, failure := k.lastFailure()
	switch usable := ok && age < k.Stale; {
	case ok && age < k.Fresh, usable && failure != nil:
		return value, nil
	case failure != nil && k.Now().Sub(failed) < hurry:
		var none T
		return none, failure
	case !usable:
		return k.Renew(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, k.Wait)
	defer cancel()
	if renewed, err := k.Renew(wait); err == nil {
		return renewed, nil
	}
	return value, nil
}

// Renew reads the value now.
func (k *Kept[T]) Renew(ctx context.Context) (T, error) {
	return k.flights.Do(ctx, "", k.Timeout, func(ctx context.Context) (T, error) {
		value, err := k.Read(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err != nil {
			k.failure, k.failed = err, k.Now()
			return value, err
		}
		k.value, k.read, k.failure = value, k.Now(), nil
		return value, nil
	})
}

// Search reads the value now because something points to a newer one, at most once in Pause: callers may
// be strangers. ok is false if it did not read.
func (k *Kept[T]) Search(ctx context.Context) (value T, ok bool, err error) {
	k.mu.Lock()
	now := k.Now()
	ok = k.searched.IsZero() || now.Sub(k.searched) >= k.Pause
	if ok {
		k.searched = now
	}
	k.mu.Unlock()
	if ok {
		value, err = k.Renew(ctx)
	}
	return value, ok, err
}

// Last returns the value that was read last, however old it is; the zero T if there is none.
func (k *Kept[T]) Last() T {
	value, _, _ := k.last()
	return value
}

// Failure is the error of the last reading, if that was less than Pause ago; nil: it succeeded.
func (k *Kept[T]) Failure() error {
	_, err := k.lastFailure()
	return err
}

// lastFailure is Failure, with when that was.
func (k *Kept[T]) lastFailure() (at time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure != nil && k.Now().Sub(k.failed) < k.Pause {
		return k.failed, k.failure
	}
	return time.Time{}, nil
}

func (k *Kept[T]) last() (value T, age time.Duration, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.Now().Sub(k.read), !k.read.IsZero()
}
