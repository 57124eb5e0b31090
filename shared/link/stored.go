package link

import "time"

// Stored is l as every Store keeps it, sharing no memory with l: times in UTC and cut to
// the microsecond, an empty Discard nil. What a Store returns is as Stored would return it.
func (l Link) Stored() Link {
	for _, t := range []*time.Time{
		&l.ReservedUntil, &l.CreatedAt, &l.UpdatedAt, &l.VerifiedAt, &l.PhaseSince, &l.NextVerify,
	} {
		*t = storedTime(*t)
	}
	if l.Change != nil {
		l.Change = &Change{ID: l.Change.ID, Since: storedTime(l.Change.Since)}
	}
	l.Discard = append([]string(nil), l.Discard...)
	return l
}

func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
