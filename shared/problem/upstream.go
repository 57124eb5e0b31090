package problem

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Upstream is what a driver knows of a failure of a service that this program needs. It stands in
// the chain of the driver's error, and Unavailable takes it from there.
type Upstream struct {
	RetryAfter time.Duration // as the service said; zero: it did not
	Denied     bool          // the service refuses this program, which waiting does not change
	Err        error
}

// Error is the text of Err.
func (u *Upstream) Error() string { return u.Err.Error() }

// Unwrap returns Err.
func (u *Upstream) Unwrap() error { return u.Err }

const (
	// retryAtMost bounds a Retry-After that a service asks for.
	retryAtMost = 2 * time.Minute
	// retryDenied is how long callers wait before they try again what only the operator can mend.
	retryDenied = time.Minute
)

// deniedDetail tells callers of a service that refuses this program.
const deniedDetail = "This service is refused by its own table or vault. Nothing is wrong with your request: the operator has to correct the access, and the log says how. Try again in a minute, and tell the operator if it stays so."

// maxRetryAfter is what RetryAfter returns at most.
const maxRetryAfter = time.Hour

// RetryAfter reads the header of that name (RFC 9110 §10.2.3): seconds, or a date relative to the
// Date header. It returns at most an hour, and 0 when the header is absent, past or invalid.
func RetryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if until, err := http.ParseTime(value); err == nil {
		now, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		wait = until.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
