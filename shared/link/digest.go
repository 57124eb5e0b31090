package link

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
	"fhirlink/shared/store"
)

// mailTarget stands for the contacts of a link in its deliveries.
var mailTarget = notify.Target{Channel: "mail", ID: "contacts"}

// Letter is what the contacts of a link are to be told with their organization's next digest.
// The notices in it are claimed; Digest acknowledges them.
type Letter struct {
	link     Link
	attempts []attempt
}

// Organization is whose digest the letter belongs to.
func (l Letter) Organization() string { return l.link.Organization }

const (
	// digestHour is the first of the hours, UTC, in which digests are sent.
	digestHour = 5
	// digestHours is over how many hours the organizations are spread.
	digestHours = 2
)

// nextDigest is when the organization's next digest is sent: each has its own minute, every
// day.
func nextDigest(organization string, now time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(organization)) // a hash never fails
	at := date.Of(now).Time().Add(digestHour*time.Hour + time.Duration(h.Sum32()%(digestHours*60))*time.Minute)
	if !at.After(now) {
		at = at.Add(24 * time.Hour)
	}
	return at
}

// Digest sends one mail for all letters, which must be of one organization, unless it had one
// today; then they wait for tomorrow. After a crash between the mail and the writes behind it
// the mail is sent again.
func (s *Service) Digest(ctx context.Context, letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	organization, now := letters[0].Organization(), s.now()
	name, today := "mail-"+organization, date.Of(now).String()
	sent, err := s.stores.Cell(ctx, name)
	if err != nil {
		return err
	}
	if sent.Value == today {
		return s.putOff(ctx, letters, now)
	}
	digest := digestOf(letters, now)
	result := notify.Result{Outcome: notify.Delivered}
	if len(digest.Events) > 0 {
		result = s.mail(ctx, digest)
		s.log.InfoContext(ctx, "digest.sent", "organization", organization, "contacts", len(digest.Contacts), "events", len(digest.Events),
			"outcome", result.Outcome.String(), "reason", result.Reason)
	}
	ctx, cancel := aside(ctx)
	defer cancel()
	if result.Outcome == notify.Delivered && len(digest.Events) > 0 {
		if _, _, err := s.stores.Swap(ctx, name, sent, today); err != nil {
			return err
		}
	}
	return s.settleLetters(ctx, letters, result)
}

// mail sends a digest; without a mail server nobody waits for one any more.
func (s *Service) mail(ctx context.Context, d notify.Digest) notify.Result {
	if s.mailer == nil {
		return notify.Result{Outcome: notify.Gone, Reason: "there is no mail server any more"}
	}
	return s.mailer.Digest(ctx, d)
}

// digestOf is the mail. What is no longer true of a secret that was replaced is left out.
func digestOf(letters []Letter, now time.Time) notify.Digest {
	d := notify.Digest{Organization: letters[0].Organization(), Day: date.Of(now).String()}
	for _, letter := range letters {
		d.Contacts = append(d.Contacts, letter.link.Contacts...)
		for _, a := range letter.attempts {
			if !a.notice.aboutEnd() || a.notice.Version == letter.link.Secret.Version {
				d.Events = append(d.Events, letter.link.told(a.notice))
			}
		}
	}
	slices.Sort(d.Contacts)
	d.Contacts = slices.Compact(d.Contacts)
	return d
}

// settleLetters writes down what became of the digest, for every link in it.
func (s *Service) settleLetters(ctx context.Context, letters []Letter, result notify.Result) (err error) {
	for _, letter := range letters {
		for i := range letter.attempts {
			letter.attempts[i].result = result
		}
		if e := s.acknowledge(ctx, letter.link, letter.attempts); e != nil {
			err = e
		}
	}
	return err
}

// putOff has the letters wait for the next day's digest.
func (s *Service) putOff(ctx context.Context, letters []Letter, now time.Time) (err error) {
	for _, letter := range letters {
		_, e := s.update(ctx, letter.link.Slug, func(row Link) (Link, error) {
			for _, n := range row.Notices {
				for i := range n.Deliveries {
					if d := &n.Deliveries[i]; d.Target == mailTarget && d.Claim != "" {
						d.Claim, d.Next = "", nextDigest(row.Organization, now)
					}
				}
			}
			return row, nil
		})
		if e = ignore(e, store.ErrNotFound); e != nil {
			err = e
		}
	}
	return err
}
