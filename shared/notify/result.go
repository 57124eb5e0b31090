package notify

import "time"

// Outcome says how an attempt ended.
type Outcome int

// The outcomes. The zero Outcome is invalid.
const (
	Delivered Outcome = iota + 1 // the receiver has the event
	Retry                        // this attempt failed
	Gone                         // a retry is of no use: the target is removed or disabled, or refuses the event for good
)

// String returns the outcome as the API writes it.
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Retry:
		return "retry"
	case Gone:
		return "gone"
	}
	return "unknown"
}

// Result says how an attempt ended, and why.
type Result struct {
	Outcome    Outcome
	RetryAfter time.Duration // the shortest wait that the receiver asked for; zero: none
	Reason     string        // for people; safe to show and to log, because it contains no address and no text of the receiver
}

// maxRetryAfter limits how far a receiver can postpone the next attempt.
const maxRetryAfter = 24 * time.Hour

// Next returns the wait between this attempt and the next: the wait of [NextAttempt], or
// RetryAfter if that is longer. attempts includes this attempt. ok is false after Delivered,
// Gone, or the last attempt of the schedule.
func (r Result) Next(attempts int) (wait time.Duration, ok bool) {
	if r.Outcome != Retry {
		return 0, false
	}
	wait, ok = NextAttempt(attempts)
	if !ok {
		return 0, false
	}
	return max(wait, min(r.RetryAfter, maxRetryAfter)), true
}

// backoff is the schedule of Standard Webhooks ("Retry schedule" in
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
// the wait before each attempt. The sum is 75 h 35 min 5 s.
var backoff = [...]time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// NextAttempt returns the wait before the next attempt, after the given number of attempts. ok is
// false after the tenth.
func NextAttempt(attempts int) (wait time.Duration, ok bool) {
	if attempts < 0 || attempts >= len(backoff) {
		return 0, false
	}
	return backoff[attempts], true
}
