package link

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
)

// Slug is the customized URL of a link: seed 1's "URL that other users of the application
// will see when they want to send you data". It is unique over all organizations, and safe
// as it is in URLs and in table keys.
type Slug string

// ParseSlug reads a slug; the mistake is nil when it is good.
func ParseSlug(s string) (Slug, *problem.Field) {
	slug, mistake := intake.Slug(s)
	return Slug(slug), mistake
}

// Phase says where a row stands in its life. Only a Live row is visible through any route.
type Phase string

// The phases; the package documentation shows how a row goes through them.
const (
	Reserved  Phase = "reserved"  // the slug is taken, the secret not yet written
	Abandoned Phase = "abandoned" // the registration failed: its secret is being removed, then the row
	Live      Phase = "live"      // usable
	Deleting  Phase = "deleting"  // the secret is being removed
	Tombstone Phase = "tombstone" // nothing is left but the claim on the slug
)

// Secret is what a row knows of its client secret.
type Secret = ending.Secret

// SecretState is how near a client secret is to its end.
type SecretState = ending.State

// The states of a secret.
const (
	SecretOK       = ending.OK
	SecretExpiring = ending.Expiring
	SecretExpired  = ending.Expired
	SecretUnknown  = ending.Unknown
)

// Change marks a change of the secret of a live link that is under way.
type Change struct {
	ID    string    // random; a commit must find its change's id here
	Since time.Time // when the marker was set
	// Unfinished: an earlier change did not end, so the store of secrets may hold versions that no
	// row names. The marker then stays, and the timer looks for them.
	Unfinished bool `json:",omitempty"`
}

// Link is one row: a FHIR server of an organization and how to get a token for it.
type Link struct {
	Slug         Slug
	ID           string // random, one per registration: a slug that is registered again has another
	Organization string // tenant id of the owner
	Phase        Phase

	// Of the row of an app's own registration in Entra (see AppRows): the client id that the app has
	// here, and the link that it belongs to. Of a link, both are empty.
	App string `json:",omitzero"`
	Of  Slug   `json:",omitzero"`

	Description   string
	FHIRServerURL string // as fhir.BaseURL writes it
	ClientID      string
	TenantID      string
	Audience      string
	Listed        bool
	Contacts      []string // e-mail addresses of the people to tell

	condition.Condition // what the last verification found

	Secret  Secret
	Change  *Change  // nil unless the secret is being changed
	Discard []string // names of secrets that are to be deleted

	Enrolled bool // the organization's roster may hold an entry for this row

	NoticedOn     date.Date   // people were told up to this date how near the secret's end is
	NoticeAt      time.Time   // when they are told next; zero: not planned
	ToldCondition notify.Type `json:"Told"` // what people were told last of the condition: LinkBroken, SecretExpired or nothing
	Notices       telling.Outbox
	PendingEvents trail.Pending `json:"Untold"` // not yet in the trail

	Failures  int       // runs of the timer in a row that failed on this row
	NotBefore time.Time // the timer leaves the row alone until then, because it failed

	Revision      int64     // raised by changes of user-settable fields and of the secret only
	ReservedUntil time.Time // of a tombstone, and of a row that was one: the slug is reserved until then; Forever: see KeepSlug
	CreatedAt     time.Time
	UpdatedAt     time.Time // of the last change that raised Revision
	VerifiedAt    time.Time // zero: never
	PhaseSince    time.Time // when Phase was entered; of an abandoned row, when it was reserved
}

// Status is the condition that users see, a pure function of the row and the time.
func (l Link) Status(now time.Time) condition.Status {
	if l.SecretState(now) == SecretExpired {
		return condition.Expired
	}
	return l.Health
}

// SecretState is the secret's condition, a pure function of the row and the time.
func (l Link) SecretState(now time.Time) SecretState { return l.Secret.State(now) }

// ETag is a strong entity tag over ID and Revision, with its quotes.
func (l Link) ETag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", l.ID, l.Revision))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// Stored is l as every Store keeps and returns it: times in UTC and cut to the microsecond, empty
// lists nil. It shares no memory with l.
func (l Link) Stored() Link {
	if l.Phase == Reserved && l.Secret.Name == "" { // rows from before the phase Abandoned
		l.Phase = Abandoned
	}
	for _, t := range []*time.Time{
		&l.ReservedUntil, &l.CreatedAt, &l.UpdatedAt, &l.VerifiedAt, &l.PhaseSince,
		&l.NoticeAt, &l.NotBefore, &l.Secret.Since, &l.Secret.PreviousUntil, &l.Secret.FellBackAt,
	} {
		*t = date.Stored(*t)
	}
	l.Condition = l.Condition.Stored()
	if l.Change != nil {
		l.Change = &Change{ID: l.Change.ID, Since: date.Stored(l.Change.Since), Unfinished: l.Change.Unfinished}
	}
	l.Discard = append([]string(nil), l.Discard...)
	l.Contacts = append([]string(nil), l.Contacts...)
	l.Notices = l.Notices.Stored()
	l.PendingEvents = l.PendingEvents.Stored()
	return l
}

// Grace is how old something half-done must be before the timer finishes or removes it. It is far
// longer than any request takes, so the timer never works against a writer.
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
	if len(l.PendingEvents) > 0 { // the request that left them may be about to enter them
		due = date.Earliest(due, l.PendingEvents[0].At.Add(Grace))
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
		if l.ReservedUntil.Equal(Forever) {
			return time.Time{}
		}
		return l.ReservedUntil
	}
	due := date.Earliest(l.NextVerify, l.NoticeAt)
	due = date.Earliest(due, l.Secret.PreviousUntil)
	due = date.Earliest(due, l.Notices.Due())
	switch {
	case l.Change != nil: // the change may need what Discard names
		due = date.Earliest(due, l.Change.Since.Add(Grace))
	case len(l.Discard) > 0:
		due = date.Earliest(due, l.PhaseSince.Add(Grace))
	}
	return due
}
