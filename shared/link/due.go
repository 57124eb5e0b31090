package link

import "time"

// Grace is how old something half-done must be before the timer finishes or removes it. It
// is far longer than any request lives, so the timer never works against a writer.
const Grace = 15 * time.Minute

// Due is when the timer must look at the row next; zero: never. A pure function of the row,
// so that a store can keep its index right with every write.
func (l Link) Due() time.Time {
	due := l.due()
	if !due.IsZero() && due.Before(l.NotBefore) {
		return l.NotBefore
	}
	return due
}

func (l Link) due() time.Time {
	due := l.phaseDue()
	if len(l.Untold) > 0 { // whoever did it may be about to tell it
		due = earliest(due, l.Untold[0].At.Add(Grace))
	}
	return due
}

func (l Link) phaseDue() time.Time {
	switch l.Phase {
	case Reserved, Abandoned, Deleting:
		return l.PhaseSince.Add(Grace)
	case Tombstone:
		if l.Enrolled {
			return l.PhaseSince.Add(Grace)
		}
		return l.ReservedUntil
	}
	due := earliest(l.NextVerify, l.NoticeAt)
	due = earliest(due, l.Secret.PreviousUntil)
	due = earliest(due, l.Notices.Due())
	switch {
	case l.Change != nil: // the one who changes the secret may need what is to be discarded
		due = earliest(due, l.Change.Since.Add(Grace))
	case len(l.Discard) > 0:
		due = earliest(due, l.PhaseSince.Add(Grace))
	}
	return due
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
