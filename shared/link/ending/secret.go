package ending

import (
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
)

// Secret is what a row knows of its client secret; the value is in the secret store.
type Secret struct {
	Name      string    // of the secret, chosen by the store: random, never reused
	Version   string    // the current version; the commit of the row is the commit of the secret
	Previous  string    // the version before, still enabled; empty if there is none
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

// State is how near a secret is to its end.
type State string

// The states of a secret.
const (
	OK       State = "ok"
	Expiring State = "expiring" // ExpiringDays down to 0 days left
	Expired  State = "expired"  // below 0, or Entra answered AADSTS7000222
	Unknown  State = "unknown"  // no date is known
)

// ExpiringDays is how many days before its end a secret counts as expiring.
const ExpiringDays = 60

// State is the secret's condition, a pure function of the row and the time.
func (s Secret) State(now time.Time) State {
	switch {
	case s.Expired:
		return Expired
	case s.ExpiresOn.IsZero():
		return Unknown
	}
	switch days := s.DaysLeft(now); {
	case days < 0:
		return Expired
	case days <= ExpiringDays:
		return Expiring
	}
	return OK
}

// DateSource is where the date of the secret's end comes from; empty when there is none.
func (s Secret) DateSource() Source {
	switch {
	case s.Expired:
		return ByRefusal
	case s.ExpiresOn.IsZero():
		return ""
	case s.Source == "":
		return ByOwner
	}
	return s.Source
}

// DaysLeft is the number of UTC dates from today to the secret's end; meaningless while ExpiresOn is zero.
func (s Secret) DaysLeft(now time.Time) int { return s.ExpiresOn.DaysFrom(date.Of(now)) }

// KnownDaysLeft is DaysLeft where it says something: there is a date, and Entra has not refused the secret
// as expired before it.
func (s Secret) KnownDaysLeft(now time.Time) (days int, known bool) {
	days = s.DaysLeft(now)
	return days, !s.ExpiresOn.IsZero() && (days < 0 || !s.Expired)
}

// spreads is how long a new secret takes to reach all of Entra. Until then Entra refuses it now and then as
// a wrong one (AADSTS7000215).
const spreads = 2 * time.Minute

// Spreading reports whether it may only mean that the new secret has not yet reached all of Entra when the
// current one is refused as unknown.
func (s Secret) Spreading(refused bool, now time.Time) bool {
	return refused && s.Previous != "" && now.Sub(s.Since) < spreads
}

// CodeExpired is the code of the refusal after which the previous secret stands in at any time.
const CodeExpired = "aadsts_7000222"
