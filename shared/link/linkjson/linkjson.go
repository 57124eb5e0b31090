package linkjson

import (
	"net/http"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/verification"
)

// Link is a link as its organization sees it.
type Link struct {
	Slug          link.Slug        `json:"slug"`
	Description   string           `json:"description"`
	FHIRServerURL string           `json:"fhirServerUrl"`
	ClientID      string           `json:"clientId"`
	TenantID      string           `json:"tenantId"`
	Audience      string           `json:"audience"`
	Listed        bool             `json:"listed"`
	Contacts      []string         `json:"contacts"` // e-mail addresses; null: none
	Status        condition.Status `json:"status"`
	Problem       *Problem         `json:"problem"`   // why it is not active; null: it is
	RecheckAt     *date.Instant    `json:"recheckAt"` // when the timer verifies it next; null: it is not planned
	Secret        Secret           `json:"secret"`
	CreatedAt     date.Instant     `json:"createdAt"`
	UpdatedAt     date.Instant     `json:"updatedAt"`
	VerifiedAt    *date.Instant    `json:"verifiedAt,omitempty"`
	ETag          string           `json:"etag"`
}

// Problem is why a link is not active, with the words of the latest verification.
type Problem struct {
	Check   string       `json:"check"`
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Fix     string       `json:"fix"`
	Command string       `json:"command,omitempty"` // one line for a shell that does what the fix says
	Since   date.Instant `json:"since"`             // when it was first seen in a row
}

func problemOf(p *condition.Problem) *Problem {
	if p == nil {
		return nil
	}
	return &Problem{Check: p.Check, Code: p.Code, Message: p.Message, Fix: p.Fix, Command: p.Command, Since: date.At(p.Since)}
}

// Secret is what is known of a link's client secret. Without a known date ExpiresOn and
// DaysLeft are null; DaysLeft also if Entra has refused the secret as expired before that date.
type Secret struct {
	ExpiresOn *date.Date       `json:"expiresOn"`
	DaysLeft  *int             `json:"daysLeft"`
	State     link.SecretState `json:"state"`
	Source    ending.Source    `json:"source,omitempty"`   // where that is known from
	Fallback  *Fallback        `json:"fallback,omitempty"` // only while the previous secret stands in
}

// Fallback says that Entra refuses the current secret and that tokens are got by the previous
// one.
type Fallback struct {
	Since date.Instant `json:"since"`
	Until date.Instant `json:"until"` // then the previous secret is disabled
}

// Of describes l as of now.
func Of(l link.Link, now time.Time) Link {
	return Link{
		Slug: l.Slug, Description: l.Description, FHIRServerURL: l.FHIRServerURL, ClientID: l.ClientID,
		TenantID: l.TenantID, Audience: l.Audience, Listed: l.Listed, Contacts: l.Contacts,
		Status: l.Status(now), Secret: SecretOf(l, now),
		Problem: problemOf(l.Reason(now)), RecheckAt: date.AtOrNil(l.RecheckAt()),
		CreatedAt: date.At(l.CreatedAt), UpdatedAt: date.At(l.UpdatedAt), VerifiedAt: date.AtOrNil(l.VerifiedAt),
		ETag: l.ETag(),
	}
}

// SecretOf describes what is known of the secret of a row as of now.
func SecretOf(l link.Link, now time.Time) Secret {
	s := Secret{State: l.SecretState(now), Source: l.Secret.DateSource()}
	if end := l.Secret.ExpiresOn; !end.IsZero() {
		s.ExpiresOn = &end
	}
	if days, known := l.Secret.KnownDaysLeft(now); known {
		s.DaysLeft = &days
	}
	if !l.Secret.FellBackAt.IsZero() {
		s.Fallback = &Fallback{Since: date.At(l.Secret.FellBackAt), Until: date.At(l.Secret.PreviousUntil)}
	}
	return s
}

// Write answers with a link and its entity tag.
func Write(w http.ResponseWriter, l link.Link, now time.Time) error {
	w.Header().Set("ETag", l.ETag())
	return httpx.WriteJSON(w, http.StatusOK, Of(l, now))
}

// WriteResult answers with a link after a change, its entity tag, the notes, and the report
// if the change was verified.
func WriteResult(w http.ResponseWriter, status int, result link.Result, now time.Time) error {
	w.Header().Set("ETag", result.Link.ETag())
	notes := result.Notes
	if notes == nil {
		notes = []string{}
	}
	return httpx.WriteJSON(w, status, struct {
		Link
		Notes  []string             `json:"notes"`
		Report *verification.Report `json:"report,omitempty"`
	}{Of(result.Link, now), notes, result.Report})
}
