package webhooks

import (
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
)

type list struct {
	Webhooks []endpoint `json:"webhooks"`
}

// endpoint is a webhook as its organization sees it.
type endpoint struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Description    string     `json:"description"`
	Enabled        bool       `json:"enabled"`
	DisabledAt     *time.Time `json:"disabledAt"`     // null: enabled
	DisabledReason *string    `json:"disabledReason"` // null: enabled
	CreatedAt      *time.Time `json:"createdAt"`
	OverlapEndsAt  *time.Time `json:"overlapEndsAt"` // until when the previous key signs too; null: none does
}

// attempt is the result of a test delivery.
type attempt struct {
	ID      string      `json:"id"` // the webhook-id of the delivery
	Type    notify.Type `json:"type"`
	Outcome string      `json:"outcome"`
	Reason  string      `json:"reason"`
}

func (h Handler) describe(e webhook.Endpoint) endpoint {
	described := endpoint{
		ID: e.ID, URL: e.URL, Description: e.Description, Enabled: e.Enabled(),
		DisabledAt: instant(e.DisabledAt), CreatedAt: instant(e.CreatedAt), OverlapEndsAt: instant(e.OverlapEnds(h.Now())),
	}
	if !e.Enabled() {
		described.DisabledReason = &e.DisabledReason
	}
	return described
}

// instant returns t in UTC to the millisecond, or nil when it is zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
