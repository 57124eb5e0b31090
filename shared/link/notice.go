package link

import (
	"strconv"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
	"fhirlink/shared/verification"
)

// about is the link as people are told about it.
func (l Link) about() telling.About {
	return telling.About{
		LinkID: l.ID, Organization: l.Organization, Slug: string(l.Slug), Description: l.Description,
		Contacts: l.Contacts, SecretVersion: l.Secret.Version,
	}
}

// record puts a notice in the row's outbox, in the write of what it is about. occasion tells two
// notices of one type and threshold apart.
func (l *Link) record(n telling.Notice, occasion string, now time.Time) {
	n.ID = notify.ID(l.ID, l.Secret.Version, string(n.Type), strconv.Itoa(n.Threshold), occasion)
	n.At, n.Version, n.ExpiresOn = now, l.Secret.Version, l.Secret.ExpiresOn
	n.Status, n.State = string(l.Status(now)), string(l.SecretState(now))
	l.Notices = l.Notices.Add(n)
}

// recordCondition records what the link's condition has become, when that was not told yet.
func (l *Link) recordCondition(failed verification.Check, now time.Time) {
	switch {
	case l.Phase != Live:
	case l.Secret.Expired && l.Told != notify.SecretExpired:
		l.Told = notify.SecretExpired
		l.recordExpired(now)
	case l.Health == Broken && !l.Secret.Expired && l.Told != notify.LinkBroken:
		l.Told = notify.LinkBroken
		l.record(telling.Notice{Type: notify.LinkBroken, Code: failed.Code, Message: failed.Message, Fix: failed.Fix}, instant(now), now)
	case l.Health == Active && l.Told != "":
		l.Told = ""
		l.record(telling.Notice{Type: notify.LinkRecovered}, instant(now), now)
	}
}

// recordExpired records the end of the secret, once. NoticedOn is beyond the date afterwards,
// whether the date came or Entra said so before.
func (l *Link) recordExpired(now time.Time) {
	today, end := date.Of(now), l.Secret.ExpiresOn
	if !end.IsZero() && l.NoticedOn.DaysFrom(end) > 0 {
		return
	}
	l.record(telling.Notice{Type: notify.SecretExpired}, end.String(), now)
	l.NoticedOn = today
	if !end.IsZero() && end.DaysFrom(today) >= 0 {
		l.NoticedOn = end.AddDays(1)
	}
}

// recordNearness records how near the secret's end is when a threshold has passed: the tightest
// one. It reports whether it did.
func (s *Service) recordNearness(l *Link, now time.Time) bool {
	if due := s.nextNotice(*l); due.IsZero() || now.Before(due) {
		return false
	}
	today := date.Of(now)
	switch days := l.DaysLeft(now); {
	case l.Secret.ExpiresOn.IsZero():
		l.record(telling.Notice{Type: notify.SecretDateMissing}, today.String(), now)
	case days < 0:
		l.recordExpired(now)
	default:
		l.record(telling.Notice{Type: notify.SecretExpiring, Threshold: s.thresholds.Passed(days)}, l.Secret.ExpiresOn.String(), now)
	}
	l.NoticedOn = today
	return true
}

// nextNotice is when people must be told next how near the secret's end is; zero: never.
func (s *Service) nextNotice(l Link) time.Time {
	if l.Phase != Live || l.Secret.Expired {
		return time.Time{}
	}
	return s.thresholds.Next(l.Secret.ExpiresOn, l.NoticedOn)
}

// instant tells two notices apart that are about what happened at a moment.
func instant(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
