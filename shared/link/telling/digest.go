package telling

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
)

// mailTarget stands for the contacts of a link in its deliveries.
var mailTarget = notify.Target{Channel: "mail", ID: "contacts"}

const (
	// digestHour is the first of the hours, UTC, in which digests are sent.
	digestHour = 5
	// digestHours is over how many hours the organizations are spread.
	digestHours = 2
)

// Letter is what the contacts of a link are told with the next digest of their organization. Its
// attempts are claimed.
type Letter struct {
	About    About
	Attempts []Attempt
}

// SplitMail parts the attempts that go with a digest from those that are sent at once.
func SplitMail(attempts []Attempt) (mail, rest []Attempt) {
	for _, a := range attempts {
		if a.Delivery.Target == mailTarget {
			mail = append(mail, a)
		} else {
			rest = append(rest, a)
		}
	}
	return mail, rest
}

// nextDigest is when the organization's next digest is sent: each has a minute of the day.
func nextDigest(organization string, now time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(organization)) // a hash never fails
	at := date.Of(now).Time().Add(digestHour*time.Hour + time.Duration(h.Sum32()%(digestHours*60))*time.Minute)
	if !at.After(now) {
		at = at.Add(24 * time.Hour)
	}
	return at
}

// Mail sends one mail for all letters, which must be of one organization. sent reports whether a
// mail went out: what is no longer true of a secret that was replaced is left out, and that can
// be everything. Every letter is then done.
func (s Sender) Mail(ctx context.Context, letters []Letter, now time.Time) (result notify.Result, sent bool) {
	digest := digestOf(letters, now)
	if len(digest.Events) == 0 {
		return notify.Result{Outcome: notify.Delivered}, false
	}
	if s.Mailer == nil {
		result = notify.Result{Outcome: notify.Gone, Reason: "there is no mail server any more"}
	} else {
		result = s.Mailer.Digest(ctx, digest)
	}
	s.Log.InfoContext(ctx, "digest.sent", "organization", digest.Organization, "contacts", len(digest.Contacts), "events", len(digest.Events),
		"outcome", result.Outcome.String(), "reason", result.Reason)
	return result, result.Outcome == notify.Delivered
}

func digestOf(letters []Letter, now time.Time) notify.Digest {
	d := notify.Digest{Organization: letters[0].About.Organization, Day: date.Of(now).String()}
	for _, letter := range letters {
		d.Contacts = append(d.Contacts, letter.About.Contacts...)
		for _, a := range letter.Attempts {
			if !a.Notice.aboutEnd() || a.Notice.Version == letter.About.SecretVersion {
				d.Events = append(d.Events, letter.About.event(a.Notice))
			}
		}
	}
	slices.Sort(d.Contacts)
	d.Contacts = slices.Compact(d.Contacts)
	return d
}
