package directory

import (
	"context"
	"net/http"

	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
)

// Directory is the part of [link.Service] that the endpoint uses.
type Directory interface {
	Directory(ctx context.Context, slug string) (link.Link, error)
}

// Handler serves the endpoint.
type Handler struct{ Links Directory }

// Get answers GET /api/directory/{slug}.
func (h Handler) Get(w http.ResponseWriter, r *http.Request) error {
	l, err := h.Links.Directory(r.Context(), r.PathValue("slug"))
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, struct {
		Slug        link.Slug `json:"slug"`
		Description string    `json:"description"`
	}{l.Slug, l.Description})
}
