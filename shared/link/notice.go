package link

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
	"fhirlink/shared/verification"
)

// Notice is something that people are to be told about a link. It is recorded on the row in
// the same write as what it is about, and stays there until everybody has been told; so it is
// neither lost nor recorded twice.
//
// Its ID is made of the link's ID, the secret's version, the type, the threshold and the date
// that it is about. Every attempt of every delivery carries it, so that a receiver who
// remembers ids holds each notice once.
type Notice struct {
	ID        string
	Type      notify.Type
	At        time.Time   // when it came about
	Version   string      `json:",omitempty"` // of the secret that it is about
	Status    Status      `json:",omitempty"` // of the link, then
	State     SecretState `json:",omitempty"` // of the secret, then
	ExpiresOn date.Date   `json:",omitzero"`
	Threshold int         `json:",omitempty"` // of notify.SecretExpiring: the days that were passed

	Code    string `json:",omitempty"` // of notify.LinkBroken: what is wrong
	Message string `json:",omitempty"`
	Fix     string `json:",omitempty"`

	// Deliveries are those still to be made; nil while it is not yet known to whom.
	Deliveries []Delivery `json:",omitempty"`
}

// Delivery is one notice on its way to one receiver. It is claimed before it is sent, so that
// overlapping runs of the timer do not send at once, and leaves the row when the receiver has
// acknowledged it.
type Delivery struct {
	Target   notify.Target
	Next     time.Time // when the next attempt is due; while it is claimed, when the claim lapses
	Claim    string    `json:",omitempty"` // random; of the run that is sending it
	Attempts int       `json:",omitempty"` // that failed
}

// Bounds that keep the list within one property of a table's row, 32 Ki characters.
const (
	maxNotices    = 12
	maxDeliveries = 8 // of one notice
	maxTold       = 240
)

// record notes something to be told, unless it is noted already. about tells two notices of one
// type and threshold apart. A notice about the secret's end takes the place of earlier ones
// that nobody was sent yet, so that after a silence only the latest is told.
func (l *Link) record(n Notice, about string, now time.Time) {
	n.ID = notify.ID(l.ID, l.Secret.Version, string(n.Type), strconv.Itoa(n.Threshold), about)
	n.At, n.Version, n.ExpiresOn = storedTime(now), l.Secret.Version, l.Secret.ExpiresOn
	n.Status, n.State = l.Status(now), l.SecretState(now)
	n.Message, n.Fix = cut(n.Message), cut(n.Fix)
	if slices.ContainsFunc(l.Notices, func(o Notice) bool { return o.ID == n.ID }) {
		return
	}
	replaces := n.aboutEnd() || n.Type == notify.SecretRotated
	l.Notices = slices.DeleteFunc(slices.Clone(l.Notices), func(o Notice) bool { return replaces && o.aboutEnd() && o.untouched() })
	l.Notices = append(l.Notices, n)
	if len(l.Notices) > maxNotices { // nobody has taken the oldest for days
		l.Notices = l.Notices[1:]
	}
}

// aboutEnd tells whether the notice is about the end of its version of the secret.
func (n Notice) aboutEnd() bool {
	return n.Type == notify.SecretExpiring || n.Type == notify.SecretExpired || n.Type == notify.SecretDateMissing
}

// untouched tells whether none of the deliveries that are left was ever begun.
func (n Notice) untouched() bool {
	return !slices.ContainsFunc(n.Deliveries, func(d Delivery) bool { return d.Claim != "" || d.Attempts > 0 })
}

// due is when the timer must look at the notice.
func (n Notice) due() (due time.Time) {
	if n.Deliveries == nil {
		return n.At
	}
	for _, d := range n.Deliveries {
		due = earliest(due, d.Next)
	}
	return due
}

// news records what the link's condition has become, when nobody has been told yet.
func (l *Link) news(failed verification.Check, now time.Time) {
	switch {
	case l.Phase != Live:
	case l.Secret.Expired && l.Told != notify.SecretExpired:
		l.Told = notify.SecretExpired
		l.recordExpired(now)
	case l.Health == Broken && !l.Secret.Expired && l.Told != notify.LinkBroken:
		l.Told = notify.LinkBroken
		l.record(Notice{Type: notify.LinkBroken, Code: failed.Code, Message: failed.Message, Fix: failed.Fix}, instant(now), now)
	case l.Health == Active && l.Told != "":
		l.Told = ""
		l.record(Notice{Type: notify.LinkRecovered}, instant(now), now)
	}
}

// recordExpired records the end of the secret, once: NoticedOn is beyond the date then, whether
// the date came or Entra said so before.
func (l *Link) recordExpired(now time.Time) {
	today, end := date.Of(now), l.Secret.ExpiresOn
	if !end.IsZero() && l.NoticedOn.DaysFrom(end) > 0 {
		return
	}
	l.record(Notice{Type: notify.SecretExpired}, end.String(), now)
	l.NoticedOn = today
	if !end.IsZero() && end.DaysFrom(today) >= 0 {
		l.NoticedOn = end.AddDays(1)
	}
}

// askAgain is how often a missing date is asked for, in days.
const askAgain = 30

// defaultThresholds are the days before a secret's end at which people are told.
var defaultThresholds = []int{ExpiringDays, 30, 14, 7, 3, 1, 0}

// nextNotice is when people must be told about the secret's end next: at the first threshold
// after NoticedOn, on the day after the end, or when its date is to be asked for again.
func (s *Service) nextNotice(l Link) time.Time {
	end := l.Secret.ExpiresOn
	switch {
	case l.Phase != Live, l.Secret.Expired:
		return time.Time{}
	case end.IsZero() && l.NoticedOn.IsZero():
		return time.Time{}
	case end.IsZero():
		return l.NoticedOn.AddDays(askAgain).Time()
	}
	for _, days := range s.thresholds {
		if d := end.AddDays(-days); d.DaysFrom(l.NoticedOn) > 0 {
			return d.Time()
		}
	}
	if d := end.AddDays(1); d.DaysFrom(l.NoticedOn) > 0 {
		return d.Time()
	}
	return time.Time{}
}

// notice records how near the secret's end is when a threshold has passed: the tightest one.
func (s *Service) notice(l *Link, now time.Time) bool {
	if due := s.nextNotice(*l); due.IsZero() || now.Before(due) {
		return false
	}
	today := date.Of(now)
	switch days := l.DaysLeft(now); {
	case l.Secret.ExpiresOn.IsZero():
		l.record(Notice{Type: notify.SecretDateMissing}, today.String(), now)
	case days < 0:
		l.recordExpired(now)
	default:
		l.record(Notice{Type: notify.SecretExpiring, Threshold: s.passed(days)}, l.Secret.ExpiresOn.String(), now)
	}
	l.NoticedOn = today
	return true
}

// passed is the tightest threshold that so many days left have passed.
func (s *Service) passed(daysLeft int) int {
	passed := daysLeft
	for _, days := range s.thresholds { // the greatest first
		if days >= daysLeft {
			passed = days
		}
	}
	return passed
}

// instant tells two notices apart that are about what happened at a moment.
func instant(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

// cut keeps a text within maxTold characters.
func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxTold {
		return s
	}
	return string([]rune(s)[:maxTold-1]) + "…"
}
