package webhooks

import (
	"fhirlink/shared/date"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
)

type list struct {
	Webhooks []endpoint `json:"webhooks"`
}

// endpoint is a webhook as its organization sees it.
type endpoint struct {
	ID             string        `json:"id"`
	URL            string        `json:"url"`
	Description    string        `json:"description"`
	Enabled        bool          `json:"enabled"`
	DisabledAt     *date.Instant `json:"disabledAt"`     // null: enabled
	DisabledReason *string       `json:"disabledReason"` // null: enabled
	CreatedAt      date.Instant  `json:"createdAt"`
	OverlapEndsAt  *date.Instant `json:"overlapEndsAt,omitempty"` // until when the previous key signs too
	LastDelivery   *delivery     `json:"lastDelivery"`            // null: none yet
}

// delivery is how the last attempt ended.
type delivery struct {
	At      date.Instant  `json:"at"`
	Type    notify.Type   `json:"type"`
	Outcome webhook.Heard `json:"outcome"`
	Reason  string        `json:"reason"`
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
		DisabledAt: date.AtOrNil(e.DisabledAt), CreatedAt: date.At(e.CreatedAt), OverlapEndsAt: date.AtOrNil(e.OverlapEnds(h.Now())),
	}
	if !e.Enabled() {
		described.DisabledReason = &e.DisabledReason
	}
	if d := e.LastDelivery; d != nil {
		described.LastDelivery = &delivery{At: date.At(d.At), Type: d.Type, Outcome: d.Outcome, Reason: d.Reason}
	}
	return described
}
