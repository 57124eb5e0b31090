package condition

import (
	"hash/fnv"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/verification"
)

// Status is what users see of a link's condition.
type Status string

// The states of a live link.
const (
	Active        Status = "active"
	PendingAccess Status = "pending_access" // token works, the FHIR role is not there yet
	Degraded      Status = "degraded"       // transient failures
	Broken        Status = "broken"         // a setting is wrong
	Expired       Status = "expired"        // the secret
)

// Condition is what the last verification found. It is part of the link's row.
type Condition struct {
	// Health is Active, PendingAccess, Degraded or Broken. What users see is the link's Status,
	// which the secret's end overrides.
	Health     Status
	Failing    string    // id of the check that failed, empty when Health is Active
	Attempts   int       // transient failures in a row; of a link that waits for its role, the place in the schedule
	NextVerify time.Time // when the timer verifies next; zero: not planned
}

// pendingSchedule is when a link whose FHIR role is missing is verified again, counted from
// when it was first found missing. Role assignments take up to 30 minutes to spread
// (https://learn.microsoft.com/azure/healthcare-apis/configure-azure-rbac-for-fhir).
var pendingSchedule = [...]time.Duration{time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute}

const (
	// transientLimit is how many transient failures in a row make a link degraded.
	transientLimit = 3
	// transientPause is how soon after a transient failure the timer looks again.
	transientPause = 5 * time.Minute
	// degradedPause is how often the timer looks at a degraded link.
	degradedPause = time.Hour
	// wholeEvery is how old a whole verification may be at the daily check of the token.
	wholeEvery = 7*24*time.Hour - time.Hour
)

// After is the condition after a verification with this outcome, in which a check failed. slug
// spreads the links over the day.
func (c Condition) After(outcome verification.Outcome, failing, slug string, now time.Time) Condition {
	switch outcome {
	case verification.OutcomeActive:
		c.settle(Active, "", slug, now)
	case verification.OutcomePendingAccess:
		c.pending(failing, slug, now)
	case verification.OutcomeTransient:
		c.transient(failing, slug, now)
	case verification.OutcomeExpired, verification.OutcomeBroken:
		c.settle(Broken, failing, slug, now)
	}
	return c
}

// settle sets a health that the timer looks at once a day.
func (c *Condition) settle(health Status, failing string, slug string, now time.Time) {
	c.Health, c.Failing, c.Attempts, c.NextVerify = health, failing, 0, nextDaily(slug, now)
}

// nextDaily is the link's own time of day, which spreads the links over the day.
func nextDaily(slug string, now time.Time) time.Time {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(slug)) // a hash never fails
	next := date.Of(now).Time().Add(time.Duration(sum.Sum32()%86400) * time.Second)
	if !next.After(now) {
		next = next.Add(24 * time.Hour)
	}
	return next
}

// NeedsWhole reports whether the timer runs all checks, and not only the one of the token: once a
// week, and whenever a token alone would not show that the link works again.
func (c Condition) NeedsWhole(verifiedAt, now time.Time) bool {
	return now.Sub(verifiedAt) >= wholeEvery || c.Failing != "" && c.Failing != verification.CheckToken
}

// pending counts from when the role was first found missing, so that people who verify meanwhile
// use up no tries. After the last try the link is broken, until the role is there.
func (c *Condition) pending(failing string, slug string, now time.Time) {
	if c.Health == Broken && c.Failing == failing {
		c.settle(Broken, failing, slug, now)
		return
	}
	since := now
	if c.Health == PendingAccess {
		since = c.NextVerify.Add(-pendingSchedule[c.Attempts-1])
	}
	for i, after := range pendingSchedule {
		if now.Sub(since) < after {
			c.Health, c.Failing, c.Attempts, c.NextVerify = PendingAccess, failing, i+1, since.Add(after)
			return
		}
	}
	c.settle(Broken, failing, slug, now)
}

// transient counts a failure that may pass by itself. A link that waits for its role goes on waiting,
// and a broken one stays broken, because nothing was learned about it.
func (c *Condition) transient(failing string, slug string, now time.Time) {
	switch c.Health {
	case PendingAccess: // nothing was learned: as if the wait had begun so much later
		if !now.Before(c.NextVerify) {
			c.NextVerify = now.Add(transientPause)
		}
		return
	case Broken:
		c.NextVerify = nextDaily(slug, now)
		return
	}
	c.Failing, c.Attempts, c.NextVerify = failing, c.Attempts+1, now.Add(transientPause)
	if c.Attempts >= transientLimit {
		c.Health, c.NextVerify = Degraded, now.Add(degradedPause)
	}
}
