package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// errNothing means that there is nothing to write.
var errNothing = errors.New("nothing to write")

// tell adds the notices that are due by now and makes the deliveries that are due: claim, send,
// acknowledge (see package telling). It returns the row as it is now, or the zero Link when it
// could not be read.
func (s *Service) tell(ctx context.Context, slug Slug, f *Finding) (Link, error) {
	l, claimed, noticed, err := s.claimDeliveries(ctx, slug)
	if l.Slug == "" {
		return Link{}, err
	}
	f.of(l, noticed, s.now())
	mail, attempts := telling.SplitMail(claimed)
	if len(claimed) == 0 {
		return l, err
	}
	about, unread := s.about(ctx, l)
	if unread != nil { // the claims lapse
		return l, errors.Join(err, unread)
	}
	if len(mail) > 0 {
		f.Letters = append(f.Letters, telling.Letter{About: about, Attempts: mail})
	}
	if len(attempts) == 0 {
		return l, err
	}
	s.sender.Send(ctx, about, attempts)
	f.Delivered += telling.Delivered(attempts)
	f.Did = append(f.Did, fmt.Sprintf("sent %d of its notifications", len(attempts)))
	return l, errors.Join(err, s.acknowledge(ctx, about, attempts))
}

// of fills in what the timer reports of a live link.
func (f *Finding) of(l Link, noticed bool, now time.Time) {
	f.Organization, f.Slug, f.App = l.Organization, cmp.Or(l.Of, l.Slug), l.App
	if l.Phase != Live {
		return
	}
	f.Notice = f.Notice || noticed
	f.Status, f.State, f.ExpiresOn = l.Status(now), l.SecretState(now), l.Secret.ExpiresOn
	if why := l.Reason(now); why != nil {
		f.Code = why.Code
	}
	if days, known := l.Secret.KnownDaysLeft(now); known {
		f.DaysLeft = &days
	}
}

// claimDeliveries is the one write before anything is sent: what there is to tell, to whom, and that
// this process sends it. If the receivers of new notices cannot be found out, older notices are
// still sent.
func (s *Service) claimDeliveries(ctx context.Context, slug Slug) (l Link, claimed []telling.Attempt, noticed bool, err error) {
	var unaddressed error
	written, err := s.update(ctx, slug, func(row Link) (Link, error) {
		l, claimed, noticed, unaddressed = row, nil, false, nil
		if row.Phase != Live {
			return Link{}, errNothing
		}
		now := s.now()
		noticed = s.noticeNearness(&row, now)
		addressed := false
		addressed, unaddressed = s.address(ctx, &row, now)
		claimed = row.Notices.Claim(now)
		if !noticed && !addressed && len(claimed) == 0 && row.NoticeAt.Equal(s.nextNotice(row)) {
			return Link{}, errNothing
		}
		return row, nil
	})
	switch {
	case errors.Is(err, errNothing):
		return l, nil, false, unaddressed
	case err != nil:
		return Link{}, nil, false, err
	}
	return written, claimed, noticed, unaddressed
}

// address gives new notices their receivers, and reports whether there were any such notices.
func (s *Service) address(ctx context.Context, l *Link, now time.Time) (done bool, err error) {
	if !l.Notices.Unaddressed() {
		return false, nil
	}
	about, err := s.about(ctx, *l)
	if err != nil {
		return false, err
	}
	deliveries, err := s.sender.Deliveries(ctx, about, now)
	if err != nil {
		return false, err
	}
	l.Notices = l.Notices.Address(deliveries)
	return true, nil
}

// acknowledge writes down what became of the attempts: one write for all of a link.
func (s *Service) acknowledge(ctx context.Context, about telling.About, attempts []telling.Attempt) error {
	ctx, cancel := aside(ctx)
	defer cancel()
	_, err := s.update(ctx, Slug(about.Row), func(row Link) (Link, error) {
		if row.Phase != Live || row.ID != about.LinkID {
			return Link{}, errLost
		}
		row.Notices = row.Notices.Settle(attempts, s.now())
		return row, nil
	})
	s.sender.LogAbandoned(ctx, about, attempts)
	return ignore(err, errLost, store.ErrNotFound)
}

// Digest sends one mail for all letters, which must be of one organization, unless it had one
// today; then they wait for tomorrow. After a crash between the mail and the writes behind it
// the mail is sent again. It returns how many notices the mail has delivered.
func (s *Service) Digest(ctx context.Context, letters []telling.Letter) (delivered int, err error) {
	if len(letters) == 0 {
		return 0, nil
	}
	now := s.now()
	name, today := "mail-"+letters[0].About.Organization, date.Of(now).String()
	last, err := s.stores.Cell(ctx, name)
	if err != nil {
		return 0, err
	}
	if last.Value == today {
		return 0, s.putOff(ctx, letters, now)
	}
	result, sent := s.sender.Mail(ctx, letters, now)
	ctx, cancel := aside(ctx)
	defer cancel()
	if sent {
		if _, _, err := s.stores.Swap(ctx, name, last, today); err != nil {
			return 0, err
		}
	}
	return s.settleLetters(ctx, letters, result)
}

// settleLetters writes down what became of the digest, for every link in it.
func (s *Service) settleLetters(ctx context.Context, letters []telling.Letter, result notify.Result) (delivered int, err error) {
	for _, letter := range letters {
		for i := range letter.Attempts {
			letter.Attempts[i].Result = result
		}
		delivered += telling.Delivered(letter.Attempts)
		if e := s.acknowledge(ctx, letter.About, letter.Attempts); e != nil {
			err = e
		}
	}
	return delivered, err
}

// putOff leaves the letters to the next day's digest.
func (s *Service) putOff(ctx context.Context, letters []telling.Letter, now time.Time) (err error) {
	for _, letter := range letters {
		_, e := s.update(ctx, Slug(letter.About.Row), func(row Link) (Link, error) {
			row.Notices.PutOffMail(row.Organization, now)
			return row, nil
		})
		if e = ignore(e, store.ErrNotFound); e != nil {
			err = e
		}
	}
	return err
}

// about is the link as people are told about it. Those who are told about a link are told about its apps.
func (s *Service) about(ctx context.Context, l Link) (telling.About, error) {
	of := l
	if l.App != "" {
		var err error
		if of, err = s.stores.Get(ctx, l.Of); err != nil {
			return telling.About{}, ignore(err, store.ErrNotFound)
		}
	}
	return telling.About{
		Row: string(l.Slug), LinkID: l.ID, Organization: l.Organization, Slug: string(of.Slug), App: l.App, Description: of.Description,
		Contacts: of.Contacts, SecretVersion: l.Secret.Version,
	}, nil
}

// addNotice puts a notice in the row's outbox, in the write of what it is about. occasion
// distinguishes two notices of the same type and threshold.
func (l *Link) addNotice(n telling.Notice, occasion string, now time.Time) {
	n.ID = notify.ID(l.ID, l.Secret.Version, string(n.Type), strconv.Itoa(n.Threshold), occasion)
	n.At, n.Version, n.ExpiresOn = now, l.Secret.Version, l.Secret.ExpiresOn
	n.Status, n.State = string(l.Status(now)), string(l.SecretState(now))
	l.Notices = l.Notices.Add(n)
}

// noticeCondition adds a notice of the link's new condition, unless people were told already.
func (l *Link) noticeCondition(failed verification.Check, now time.Time) {
	switch {
	case l.Phase != Live:
	case l.Secret.Expired && l.ToldCondition != notify.SecretExpired:
		l.ToldCondition = notify.SecretExpired
		l.noticeExpired(now)
	case l.Health == condition.Broken && !l.Secret.Expired && l.ToldCondition != notify.LinkBroken:
		l.ToldCondition = notify.LinkBroken
		l.addNotice(telling.Notice{Type: notify.LinkBroken, Code: failed.Code, Message: failed.Message, Fix: failed.Advice()}, instant(now), now)
	case l.Health == condition.Active && l.ToldCondition != "":
		l.ToldCondition = ""
		l.addNotice(telling.Notice{Type: notify.LinkRecovered}, instant(now), now)
	}
}

// noticeExpired adds a notice of the end of the secret, once. Afterwards NoticedOn is later than the
// end, also when Entra refused the secret before that date.
func (l *Link) noticeExpired(now time.Time) {
	today, end := date.Of(now), l.Secret.ExpiresOn
	if !end.IsZero() && l.NoticedOn.DaysFrom(end) > 0 {
		return
	}
	l.addNotice(telling.Notice{Type: notify.SecretExpired}, end.String(), now)
	l.NoticedOn = today
	if !end.IsZero() && end.DaysFrom(today) >= 0 {
		l.NoticedOn = end.AddDays(1)
	}
}

// noticeNearness adds a notice when the secret's end has come nearer than a threshold; the tightest
// one counts. It reports whether it added one.
func (s *Service) noticeNearness(l *Link, now time.Time) bool {
	if due := s.nextNotice(*l); due.IsZero() || now.Before(due) {
		return false
	}
	today := date.Of(now)
	switch days := l.Secret.DaysLeft(now); {
	case l.Secret.ExpiresOn.IsZero():
		l.addNotice(telling.Notice{Type: notify.SecretDateMissing}, today.String(), now)
	case days < 0:
		l.noticeExpired(now)
	default:
		l.addNotice(telling.Notice{Type: notify.SecretExpiring, Threshold: s.thresholds.Passed(days)}, l.Secret.ExpiresOn.String(), now)
	}
	l.NoticedOn = today
	return true
}

// nextNotice is when people must be told again how near the secret's end is; zero: never.
func (s *Service) nextNotice(l Link) time.Time {
	if l.Phase != Live || l.Secret.Expired {
		return time.Time{}
	}
	return s.thresholds.Next(l.Secret.ExpiresOn, l.NoticedOn)
}

// instant is the occasion of a notice about what happened at a moment.
func instant(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
