package link

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/telling"
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

// The phases. A row goes Reserved → Live → Deleting → Tombstone, or Reserved → Abandoned when the
// registration is not finished. A Tombstone and an Abandoned row of the same organization may
// become Reserved again.
const (
	Reserved  Phase = "reserved"  // the slug is taken, the secret not yet written
	Abandoned Phase = "abandoned" // the registration failed: its secret is being removed, then the row
	Live      Phase = "live"      // usable
	Deleting  Phase = "deleting"  // the secret is being removed
	Tombstone Phase = "tombstone" // nothing is left but the claim on the slug
)

// Status is what users see of a link's condition.
type Status string

// The states of a live link.
const (
	Active        Status = "active"
	PendingAccess Status = "pending_access" // token works, the FHIR role is not there yet
	Degraded      Status = "degraded"       // transient failures
	Broken        Status = "broken"         // a setting is wrong
	Expired       Status = "expired"        // the secret
)

// SecretState is how near a client secret is to its end.
type SecretState string

// The states of a secret.
const (
	SecretOK       SecretState = "ok"
	SecretExpiring SecretState = "expiring" // ExpiringDays down to 0 days left
	SecretExpired  SecretState = "expired"  // below 0, or Entra said so (AADSTS7000222)
	SecretUnknown  SecretState = "unknown"  // no date is known
)

// ExpiringDays is how many days before its end a secret counts as expiring.
const ExpiringDays = 60

// Secret is what a link knows of its client secret; the value is in the secret store.
type Secret struct {
	Name      string    // of the secret, chosen by the store: random, never reused
	Version   string    // the current version; the commit of the row is the commit of the secret
	Previous  string    // the version before, enabled still; empty if there is none
	ExpiresOn date.Date // zero: not known
	Expired   bool      // Entra answered AADSTS7000222 to this version

	Kind         credential.Kind `json:",omitzero"` // of Version; zero: stored before rows stated it
	PreviousKind credential.Kind `json:",omitzero"` // of Previous

	Source        Source    `json:",omitzero"` // where ExpiresOn comes from
	KeyID         string    `json:",omitzero"` // of the credential in Entra, when Microsoft Graph told it
	Since         time.Time `json:",omitzero"` // when Version became the current one
	PreviousUntil time.Time `json:",omitzero"` // until when Previous may stand in for Version; then it is disabled
	FellBackAt    time.Time `json:",omitzero"` // since when Previous stands in for Version; zero: it does not
}

// Source is where the date of a secret's end comes from.
type Source string

// The sources of dates.
const (
	Typed       Source = "typed"       // by whoever registered the secret
	Certificate Source = "certificate" // the certificate's own date
	Graph       Source = "graph"       // Microsoft Graph
	Observed    Source = "observed"    // Entra answered AADSTS7000222, whatever the date was to be
)

// Change marks that somebody is changing the secret of a live link.
type Change struct {
	ID    string    // random; whoever commits must find its own id here
	Since time.Time // when the marker was set
	// Unfinished: an earlier change did not end, so that the store of secrets may hold what no
	// row names. The marker then stays for the timer, which looks.
	Unfinished bool `json:",omitempty"`
}

// Link is one row: a FHIR server of an organization and how to get a token for it.
type Link struct {
	Slug         Slug
	ID           string // random, one per registration: a slug registered anew has another
	Organization string // tenant id of the owner
	Phase        Phase

	Description   string
	FHIRServerURL string // as fhir.BaseURL writes it
	ClientID      string
	TenantID      string
	Audience      string
	Listed        bool
	Contacts      []string // e-mail addresses of whom to tell

	// Health is the last verification's outcome: Active, PendingAccess, Degraded or Broken.
	// What users see is Status, which the secret's end overrides.
	Health   Status
	Failing  string // id of the check that failed, empty when Health is Active
	Attempts int    // transient failures in a row; of a link that waits for its role, the place in the schedule

	Secret  Secret
	Change  *Change  // nil unless the secret is being changed
	Discard []string // names of secrets that are to be deleted

	Enrolled bool // the organization's roster may hold an entry for this row

	NoticedOn date.Date   // up to which it has been told how near the secret's end is
	NoticeAt  time.Time   // when that is to be told next; zero: not planned
	Told      notify.Type // what was told last of the link's condition: LinkBroken, SecretExpired or nothing
	Notices   telling.Outbox
	Untold    []Event // that are not yet in the trail

	Failures  int       // runs of the timer in a row that failed on this row
	NotBefore time.Time // the timer leaves the row alone until then, because it failed

	Revision      int64     // raised by changes of user-settable fields and of the secret only
	ReservedUntil time.Time // of a tombstone, and of a row that was one: the slug is the organization's until then
	CreatedAt     time.Time
	UpdatedAt     time.Time // of the last change that raised Revision
	VerifiedAt    time.Time // zero: never
	PhaseSince    time.Time // when Phase was entered
	NextVerify    time.Time // when the timer verifies next; zero: not planned
}

// Status is the condition that users see, a pure function of the row and the time.
func (l Link) Status(now time.Time) Status {
	if l.SecretState(now) == SecretExpired {
		return Expired
	}
	return l.Health
}

// SecretState is the secret's condition, a pure function of the row and the time.
func (l Link) SecretState(now time.Time) SecretState {
	switch {
	case l.Secret.Expired:
		return SecretExpired
	case l.Secret.ExpiresOn.IsZero():
		return SecretUnknown
	}
	switch days := l.DaysLeft(now); {
	case days < 0:
		return SecretExpired
	case days <= ExpiringDays:
		return SecretExpiring
	}
	return SecretOK
}

// SecretSource is where what is known of the secret's end is known from; empty when nothing is.
func (l Link) SecretSource() Source {
	switch {
	case l.Secret.Expired:
		return Observed
	case l.Secret.ExpiresOn.IsZero():
		return ""
	case l.Secret.Source == "":
		return Typed
	}
	return l.Secret.Source
}

// DaysLeft is the number of UTC dates from today to the secret's end; meaningless while
// Secret.ExpiresOn is zero.
func (l Link) DaysLeft(now time.Time) int { return l.Secret.ExpiresOn.DaysFrom(date.Of(now)) }

// ETag is a strong entity tag over ID and Revision, with its quotes.
func (l Link) ETag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", l.ID, l.Revision))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
