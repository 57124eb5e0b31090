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
	Contacts      []string         `json:"contacts,omitempty"` // e-mail addresses
	Status        condition.Status `json:"status"`
	Secret        Secret           `json:"secret"`
	CreatedAt     *time.Time       `json:"createdAt"`
	UpdatedAt     *time.Time       `json:"updatedAt"`
	VerifiedAt    *time.Time       `json:"verifiedAt"` // null: never
	ETag          string           `json:"etag"`
}

// Secret is what is known of a link's client secret. Without a known date ExpiresOn and
// DaysLeft are null.
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
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // then the previous secret is disabled
}

// Of describes l as of now.
func Of(l link.Link, now time.Time) Link {
	return Link{
		Slug: l.Slug, Description: l.Description, FHIRServerURL: l.FHIRServerURL, ClientID: l.ClientID,
		TenantID: l.TenantID, Audience: l.Audience, Listed: l.Listed, Contacts: l.Contacts,
		Status: l.Status(now), Secret: secretOf(l, now),
		CreatedAt: instant(l.CreatedAt), UpdatedAt: instant(l.UpdatedAt), VerifiedAt: instant(l.VerifiedAt),
		ETag: l.ETag(),
	}
}

func secretOf(l link.Link, now time.Time) Secret {
	s := Secret{State: l.SecretState(now), Source: l.SecretSource()}
	if end := l.Secret.ExpiresOn; !end.IsZero() {
		days := l.DaysLeft(now)
		s.ExpiresOn, s.DaysLeft = &end, &days
	}
	if since := instant(l.Secret.FellBackAt); since != nil {
		s.Fallback = &Fallback{Since: *since, Until: *instant(l.Secret.PreviousUntil)}
	}
	return s
}

// instant is t in UTC to the millisecond, nil when it is zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
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
