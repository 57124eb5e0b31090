package verify

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/verification"
)

// Verifier is the part of [link.Service] that the endpoint uses.
type Verifier interface {
	Verify(ctx context.Context, organization, slug string) (verification.Report, error)
	Rehearse(ctx context.Context, organization string, r intake.Registration) (verification.Report, error)
}

// Handler serves the endpoint.
type Handler struct{ Links Verifier }

// Verify answers POST /api/verify.
func (h Handler) Verify(w http.ResponseWriter, r *http.Request) error {
	body, err := httpx.ReadObject(r)
	if err != nil {
		return err
	}
	var registration intake.Registration
	if err := body.Into(&registration); err != nil {
		return err
	}
	verify := h.Links.Rehearse
	if body.Has("slug") && !body.Has("fhirServerUrl") {
		verify = h.stored
	}
	report, err := verify(r.Context(), caller.Organization(r.Context()), registration)
	if err != nil {
		return err
	}
	eventlog.Current(r.Context()).Find(report.Finding())
	return httpx.WriteJSON(w, http.StatusOK, report)
}

func (h Handler) stored(ctx context.Context, organization string, r intake.Registration) (verification.Report, error) {
	return h.Links.Verify(ctx, organization, r.Slug)
}
