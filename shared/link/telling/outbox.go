package telling

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
)

// Bounds that keep the outbox within one property of a table's row, 32 Ki characters.
const (
	maxNotices    = 12
	maxDeliveries = 8 // of one notice
)

// claimFor is how long a claimed delivery is left to the run that claimed it. It is longer than a
// run of the timer, so that a second attempt never overlaps the first.
const claimFor = 2 * time.Minute

// Outbox are the notices of a link that are not yet delivered to every receiver, in the order in
// which they came about.
type Outbox []Notice

// Attempt is one delivery that this process has claimed.
type Attempt struct {
	Notice   Notice
	Delivery Delivery
	Result   notify.Result
}

// Add is the outbox with a notice, unless it is there already. A notice about the secret's end, or
// about its replacement, takes the place of earlier ones about the end that no receiver was sent
// yet. So after a silence only the latest is told.
func (o Outbox) Add(n Notice) Outbox {
	if slices.ContainsFunc(o, func(other Notice) bool { return other.ID == n.ID }) {
		return o
	}
	n.At, n.Message, n.Fix = date.Stored(n.At), cut(n.Message), cut(n.Fix)
	replaces := n.aboutEnd() || n.Type == notify.SecretRotated
	o = slices.DeleteFunc(slices.Clone(o), func(other Notice) bool { return replaces && other.aboutEnd() && other.untouched() })
	o = append(o, n)
	return o[max(0, len(o)-maxNotices):] // the oldest goes: it was not taken for days
}

// Due is when the timer must look at the outbox next; zero: never.
func (o Outbox) Due() (due time.Time) {
	for _, n := range o {
		if next := n.due(); due.IsZero() || !next.IsZero() && next.Before(due) {
			due = next
		}
	}
	return due
}

// Unaddressed reports whether the receivers of a notice are not yet known.
func (o Outbox) Unaddressed() bool {
	return slices.ContainsFunc(o, func(n Notice) bool { return n.Deliveries == nil })
}

// Address gives new notices their deliveries. A notice without receivers leaves the outbox.
func (o Outbox) Address(deliveries []Delivery) Outbox {
	for i, n := range o {
		if n.Deliveries == nil {
			o[i].Deliveries = append([]Delivery{}, deliveries[:min(len(deliveries), maxDeliveries)]...)
		}
	}
	return o.undelivered()
}

// undelivered leaves out the notices that every receiver has. One that came meanwhile, and has no
// receivers yet, stays.
func (o Outbox) undelivered() Outbox {
	return slices.DeleteFunc(slices.Clone(o), func(n Notice) bool { return n.Deliveries != nil && len(n.Deliveries) == 0 })
}

// Claim takes every delivery that is due for this process. It changes the outbox in place.
func (o Outbox) Claim(now time.Time) (claimed []Attempt) {
	for _, n := range o {
		for i := range n.Deliveries {
			d := &n.Deliveries[i]
			if now.Before(d.Next) {
				continue
			}
			d.Claim, d.Next = strings.ToLower(rand.Text()), date.Stored(now.Add(claimFor))
			claimed = append(claimed, Attempt{Notice: n, Delivery: *d})
		}
	}
	return claimed
}

// Settle takes over the results of attempts. A result that the receiver has it counts from any
// run; a failure counts only from the run that still holds the claim.
func (o Outbox) Settle(attempts []Attempt, now time.Time) Outbox {
	for _, a := range attempts {
		for i, n := range o {
			if n.ID == a.Notice.ID {
				o[i].Deliveries = a.settle(n.Deliveries, now)
			}
		}
	}
	return o.undelivered()
}

func (a Attempt) settle(deliveries []Delivery, now time.Time) []Delivery {
	left := slices.DeleteFunc(deliveries, func(d Delivery) bool { return d.Target == a.Delivery.Target && a.Ends(d) })
	for i := range left {
		if d := &left[i]; d.Claim == a.Delivery.Claim {
			wait, _ := a.Result.Next(d.Attempts + 1)
			d.Claim, d.Attempts, d.Next = "", d.Attempts+1, date.Stored(now.Add(wait))
		}
	}
	return left
}

// Ends reports whether the attempt was the last one of the delivery.
func (a Attempt) Ends(d Delivery) bool {
	if a.Result.Outcome != notify.Retry {
		return true
	}
	_, again := a.Result.Next(d.Attempts + 1)
	return d.Claim == a.Delivery.Claim && !again
}

// PutOffMail has the claimed mails wait for the organization's next digest. It changes the outbox
// in place.
func (o Outbox) PutOffMail(organization string, now time.Time) {
	for _, n := range o {
		for i := range n.Deliveries {
			if d := &n.Deliveries[i]; d.Target == mailTarget && d.Claim != "" {
				d.Claim, d.Next = "", nextDigest(organization, now)
			}
		}
	}
}

// Stored is the outbox as rows keep it, sharing no memory with o; nil when it is empty.
func (o Outbox) Stored() (stored Outbox) {
	for _, n := range o {
		n.At = date.Stored(n.At)
		var deliveries []Delivery
		for _, d := range n.Deliveries {
			d.Next = date.Stored(d.Next)
			deliveries = append(deliveries, d)
		}
		n.Deliveries = deliveries
		stored = append(stored, n)
	}
	return stored
}
