package launches

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth/ehr"
)

// PerMinute is how many launches an organization may make in a minute, per instance.
const PerMinute = 600

// Handler serves the endpoint.
type Handler struct {
	// Launches is the part of [ehr.Service] that makes launches.
	Launches interface {
		Create(ctx context.Context, organization, slug string, in ehr.NewLaunch) (ehr.Created, error)
	}
	Limit *httpx.RateLimit // of PerMinute; nil: there is none
}

// Create answers POST /api/links/{slug}/launches.
func (h Handler) Create(w http.ResponseWriter, r *http.Request) error {
	organization := caller.Organization(r.Context())
	if wait := h.Limit.Take(organization); wait > 0 {
		return &problem.Error{
			Code: problem.TooManyRequests, RetryAfter: wait,
			Detail: "Your organization has made more launches than are allowed per minute. Try again after the time in Retry-After.",
		}
	}
	var in ehr.NewLaunch
	if err := httpx.DecodeJSON(r, &in); err != nil {
		return err
	}
	made, err := h.Launches.Create(r.Context(), organization, r.PathValue("slug"), in)
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	return httpx.WriteJSON(w, http.StatusCreated, launch{made.Launch, date.At(made.ExpiresAt), made.URL, made.Notes})
}

// launch is a launch as its EHR gets it. No other code shows one.
type launch struct {
	Launch    string       `json:"launch"`
	ExpiresAt date.Instant `json:"expiresAt"`
	LaunchURL string       `json:"launchUrl,omitempty"`
	Notes     []string     `json:"notes"`
}
