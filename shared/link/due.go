package link

import "time"

// Grace is how old something half-done must be before the timer finishes or removes it. It
// is far longer than any request lives, so the timer never works against a writer.
const Grace = 15 * time.Minute

// noticeDays are the days before the secret's end at which the timer reports a link: at
// these dates, and once on the day after the end.
var noticeDays = [...]int{ExpiringDays, 30, 14, 7, 3, 1, 0, -1}

// Due is when the timer must look at the row next; zero: never. A pure function of the row,
// so that a store can keep its index right with every write.
func (l Link) Due() time.Time {
	switch l.Phase {
	case Reserved, Deleting:
		return l.PhaseSince.Add(Grace)
	case Tombstone:
		if l.Enrolled {
			return l.PhaseSince.Add(Grace)
		}
		return l.ReservedUntil
	}
	due := earliest(l.NextVerify, l.noticeDue())
	switch {
	case l.Change != nil: // the one who changes the secret may need what is to be discarded
		due = earliest(due, l.Change.Since.Add(Grace))
	case len(l.Discard) > 0:
		due = earliest(due, l.PhaseSince.Add(Grace))
	}
	return due
}

// noticeDue is the first notice date after NoticedOn.
func (l Link) noticeDue() time.Time {
	if l.Secret.ExpiresOn.IsZero() {
		return time.Time{}
	}
	for _, days := range noticeDays {
		if d := l.Secret.ExpiresOn.AddDays(-days); d.DaysFrom(l.NoticedOn) > 0 {
			return d.Time()
		}
	}
	return time.Time{}
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
