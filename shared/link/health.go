package link

import (
	"hash/fnv"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/verification"
)

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

// judge takes over what a verification of this row found, or a request for a token alone.
func (l *Link) judge(report verification.Report, now time.Time) {
	failed, _ := report.Failed()
	outcome := report.Outcome()
	if outcome == verification.OutcomeBroken && l.Spreading(failed.Code, now) {
		outcome = verification.OutcomeTransient
	}
	switch outcome {
	case verification.OutcomeActive:
		l.settle(Active, "", now)
		l.Secret.Expired, l.Secret.FellBackAt = false, time.Time{}
	case verification.OutcomePendingAccess:
		l.pending(failed.ID, now)
	case verification.OutcomeTransient:
		l.transient(failed.ID, now)
	case verification.OutcomeExpired:
		l.settle(Broken, failed.ID, now)
		l.Secret.Expired = true
	case verification.OutcomeBroken:
		l.settle(Broken, failed.ID, now)
		l.Secret.Expired = l.Secret.Expired && !report.Ran(verification.CheckToken)
	}
	l.recordCondition(failed, now)
}

// settle sets a health that the timer looks at once a day.
func (l *Link) settle(health Status, failing string, now time.Time) {
	l.Health, l.Failing, l.Attempts, l.NextVerify = health, failing, 0, l.nextDaily(now)
}

// nextDaily is the link's own time of day, which spreads the links over the day.
func (l *Link) nextDaily(now time.Time) time.Time {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(l.Slug)) // a hash never fails
	next := date.Of(now).Time().Add(time.Duration(sum.Sum32()%86400) * time.Second)
	if !next.After(now) {
		next = next.Add(24 * time.Hour)
	}
	return next
}

// whole tells whether the timer runs all checks, and not only that of the token: once a week,
// and whenever the token alone would not tell whether the link works again.
func (l Link) whole(now time.Time) bool {
	return now.Sub(l.VerifiedAt) >= wholeEvery || l.Failing != "" && l.Failing != verification.CheckToken
}

// pending goes by the time since the role was first found missing, so that people who verify
// meanwhile use nothing up. Past the last of the schedule the link is broken, and stays so
// until the role is there.
func (l *Link) pending(failing string, now time.Time) {
	if l.Health == Broken && l.Failing == failing {
		l.settle(Broken, failing, now)
		return
	}
	since := now
	if l.Health == PendingAccess {
		since = l.NextVerify.Add(-pendingSchedule[l.Attempts-1])
	}
	for i, after := range pendingSchedule {
		if now.Sub(since) < after {
			l.Health, l.Failing, l.Attempts, l.NextVerify = PendingAccess, failing, i+1, since.Add(after)
			return
		}
	}
	l.settle(Broken, failing, now)
}

// transient counts a failure that may pass by itself. A link that waits for its role goes on
// waiting; a broken one stays broken, for nothing was learned about it.
func (l *Link) transient(failing string, now time.Time) {
	switch l.Health {
	case PendingAccess: // nothing was learned: as if the wait had begun so much later
		if !now.Before(l.NextVerify) {
			l.NextVerify = now.Add(transientPause)
		}
		return
	case Broken:
		l.NextVerify = l.nextDaily(now)
		return
	}
	l.Failing, l.Attempts, l.NextVerify = failing, l.Attempts+1, now.Add(transientPause)
	if l.Attempts >= transientLimit {
		l.Health, l.NextVerify = Degraded, now.Add(degradedPause)
	}
}
