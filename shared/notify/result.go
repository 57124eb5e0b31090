package notify

import "time"

// Outcome is what became of an attempt.
type Outcome int

// The outcomes. The zero Outcome is none of them.
const (
	Delivered Outcome = iota + 1 // the receiver has it
	Retry                        // not this time
	Gone                         // trying again is of no use: the target is removed or disabled, or refuses the event for good
)

// String is the outcome as the API writes it.
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

// Result is what became of an attempt, and why.
type Result struct {
	Outcome    Outcome
	RetryAfter time.Duration // the receiver wants to be left alone that long; zero: it did not say
	Reason     string        // for people, safe to show and to log: no address, no text of the receiver's
}

// maxRetryAfter is the longest that a receiver can put the next attempt off.
const maxRetryAfter = 24 * time.Hour

// Next is how long after an attempt that ended so the next one is due: what [NextAttempt]
// says, or what the receiver asked for if that is longer. attempts counts this attempt too.
// There is none after Delivered, Gone, or the last of the schedule.
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
// how long after the attempt before each is due. Together 75 h 35 min 5 s.
var backoff = [...]time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// NextAttempt is how long after the last of so many attempts the next is due. There is none
// after the tenth.
func NextAttempt(attempts int) (wait time.Duration, ok bool) {
	if attempts < 0 || attempts >= len(backoff) {
		return 0, false
	}
	return backoff[attempts], true
}
