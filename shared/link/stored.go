package link

import "time"

// Stored is l as every Store keeps it, sharing no memory with l: times in UTC and cut to
// the microsecond, empty lists nil. What a Store returns is as Stored would return it.
func (l Link) Stored() Link {
	if l.Phase == Reserved && l.Secret.Name == "" { // how rows were written before there was Abandoned
		l.Phase = Abandoned
	}
	for _, t := range []*time.Time{
		&l.ReservedUntil, &l.CreatedAt, &l.UpdatedAt, &l.VerifiedAt, &l.PhaseSince, &l.NextVerify,
		&l.NoticeAt, &l.NotBefore, &l.Secret.Since, &l.Secret.PreviousUntil, &l.Secret.FellBackAt,
	} {
		*t = storedTime(*t)
	}
	if l.Change != nil {
		l.Change = &Change{ID: l.Change.ID, Since: storedTime(l.Change.Since), Unfinished: l.Change.Unfinished}
	}
	l.Discard = append([]string(nil), l.Discard...)
	l.Contacts = append([]string(nil), l.Contacts...)
	l.Notices = l.Notices.Stored()
	l.Untold = each(l.Untold, Event.Stored)
	return l
}

// Stored is e as every Trail keeps it.
func (e Event) Stored() Event {
	e.At = storedTime(e.At)
	return e
}

// each is a list of its own with f of every element; nil when it is empty.
func each[T any](list []T, f func(T) T) (all []T) {
	for _, v := range list {
		all = append(all, f(v))
	}
	return all
}

func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
