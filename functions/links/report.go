package links

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/verification"
)

// Reporter is the part of [link.Service] that knows the last reports.
type Reporter interface {
	Report(ctx context.Context, organization, slug string) (lastreport.Report, error)
}

// Report answers GET /api/links/{slug}/report.
func (h Handler) Report(w http.ResponseWriter, r *http.Request) error {
	last, err := h.Links.Report(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"))
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, struct {
		At     date.Instant        `json:"at"`
		By     lastreport.By       `json:"by"`
		Report verification.Report `json:"report"`
	}{date.At(last.At), last.By, last.Report})
}
