package condition

import (
	"hash/fnv"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/ending"
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

	PendingSince time.Time `json:",omitzero"`  // when the role was first found missing; zero unless Health is PendingAccess, and on older rows
	Problem      *Problem  `json:",omitempty"` // what failed; of an Active link, what may make it Degraded
}

// Problem is what a verification found wrong, with the words of the last one.
type Problem struct {
	Check   string
	Code    string
	Message string
	Fix     string
	Command string    `json:",omitempty"`
	Since   time.Time // when the check first failed with this code in a row
}

// Stored is c as a row keeps it: times in UTC and cut to the microsecond. It shares no memory with c.
func (c Condition) Stored() Condition {
	c.NextVerify, c.PendingSince = date.Stored(c.NextVerify), date.Stored(c.PendingSince)
	if c.Problem != nil {
		p := *c.Problem
		p.Since = date.Stored(p.Since)
		c.Problem = &p
	}
	return c
}

// pendingSchedule is when a link whose FHIR role is missing is verified again, counted from
// when it was first found missing. Role assignments take up to 30 minutes to spread
// (https://learn.microsoft.com/azure/healthcare-apis/configure-azure-rbac-for-fhir). Attempts is the
// place in it, from 1 on, and stays at its end, because the version before knew no other values.
var pendingSchedule = [...]time.Duration{time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute}

const (
	// transientLimit is how many transient failures in a row make a link degraded.
	transientLimit = 3
	// transientPause is how soon after a transient failure the timer looks again.
	transientPause = 5 * time.Minute
	// degradedPause is how often the timer looks at a degraded link.
	degradedPause = time.Hour
	// pendingPause is how often the timer looks behind the end of pendingSchedule, because people may
	// take days to assign the role.
	pendingPause = time.Hour
	// pendingFor is how long it does so.
	pendingFor = 14 * 24 * time.Hour
	// wholeEvery is how old a whole verification may be at the daily check of the token.
	wholeEvery = 7*24*time.Hour - time.Hour
)

// After is the condition after a verification with this outcome, in which a check failed. slug
// spreads the links over the day.
func (c Condition) After(outcome verification.Outcome, failed verification.Check, slug string, now time.Time) Condition {
	if outcome == verification.OutcomeActive {
		failed = verification.Check{}
	}
	c.Problem = c.problemAfter(outcome, failed, now)
	switch outcome {
	case verification.OutcomeActive:
		c.settle(Active, "", slug, now)
	case verification.OutcomePendingAccess:
		c.pending(failed.ID, slug, now)
	case verification.OutcomeTransient:
		c.transient(failed.ID, slug, now)
	case verification.OutcomeExpired, verification.OutcomeBroken:
		c.settle(Broken, failed.ID, slug, now)
	}
	return c
}

// problemAfter is what is wrong after the outcome. A transient failure of a link that waits or is
// broken is not why it waits or is broken.
func (c Condition) problemAfter(outcome verification.Outcome, failed verification.Check, now time.Time) *Problem {
	switch {
	case outcome == verification.OutcomeActive:
		return nil
	case outcome == verification.OutcomeTransient && (c.Health == PendingAccess || c.Health == Broken):
		return c.Problem
	}
	p := &Problem{Check: failed.ID, Code: failed.Code, Message: failed.Message, Fix: failed.Fix, Command: failed.Command, Since: now}
	if c.Problem != nil && c.Problem.Check == p.Check && c.Problem.Code == p.Code {
		p.Since = c.Problem.Since
	}
	return p
}

// settle sets a health that the timer looks at once a day.
func (c *Condition) settle(health Status, failing string, slug string, now time.Time) {
	c.Health, c.Failing, c.Attempts, c.NextVerify, c.PendingSince = health, failing, 0, nextDaily(slug, now), time.Time{}
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
		since = c.pendingSince()
	}
	attempts, after := place(now.Sub(since))
	if attempts == 0 {
		c.settle(Broken, failing, slug, now)
		return
	}
	c.Health, c.Failing, c.Attempts, c.NextVerify, c.PendingSince = PendingAccess, failing, attempts, since.Add(after), since
}

// place is where a link that has waited so long is in the schedule: Attempts, and after which wait
// it is verified next. Attempts is 0 when the schedule is over.
func place(waited time.Duration) (attempts int, next time.Duration) {
	for i, after := range pendingSchedule {
		if waited < after {
			return i + 1, after
		}
	}
	end := pendingSchedule[len(pendingSchedule)-1]
	if waited >= end+pendingFor {
		return 0, 0
	}
	return len(pendingSchedule), end + (waited - end).Truncate(pendingPause) + pendingPause
}

// pendingSince is when the role was first found missing. Rows of the version before do not say it,
// but its schedule does.
func (c Condition) pendingSince() time.Time {
	if !c.PendingSince.IsZero() {
		return c.PendingSince
	}
	place := min(max(c.Attempts, 1), len(pendingSchedule))
	return c.NextVerify.Add(-pendingSchedule[place-1])
}

// transient counts a failure that may pass by itself. A link that waits for its role goes on waiting,
// and a broken one stays broken, because nothing was learned about it.
func (c *Condition) transient(failing string, slug string, now time.Time) {
	switch c.Health {
	case PendingAccess:
		c.PendingSince = c.pendingSince()
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

// Unexpected reports whether Entra's answer to a request for a token is new to the row. That it did not answer
// says nothing.
func (c Condition) Unexpected(report verification.Report) bool {
	switch failed, found := report.Failed(); {
	case !found:
		return c.Failing != ""
	case report.Outcome() == verification.OutcomeTransient:
		return false
	default:
		return c.Problem == nil || c.Problem.Check != failed.ID || c.Problem.Code != failed.Code
	}
}

// News reports whether the outcome of a request for a token differs from what the row says of its condition and
// its secret.
func (c Condition) News(report verification.Report, secret ending.Secret, now time.Time) bool {
	failed, _ := report.Failed()
	about := c.Failing == verification.CheckToken
	known := about && c.Health == Broken
	switch report.Outcome() {
	case verification.OutcomeTransient:
		return false
	case verification.OutcomeActive:
		return about || !secret.FellBackAt.IsZero()
	case verification.OutcomeExpired:
		return !known || !secret.Expired
	case verification.OutcomeBroken:
		return !(known && !secret.Expired) && !secret.Spreading(failed.SecretRefused, now)
	}
	return true
}
