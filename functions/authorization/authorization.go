package authorization

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/smartauth"
)

// Handler serves the endpoint.
type Handler struct {
	// Servers is the part of [smartauth.Service] that has the settings.
	Servers interface {
		Settings(ctx context.Context, organization, slug string) (smartauth.Server, error)
		PutSettings(ctx context.Context, organization, slug string, p smartauth.Precondition, in smartauth.NewSettings) (put smartauth.Server, created bool, err error)
		DeleteSettings(ctx context.Context, organization, slug string, p smartauth.Precondition) error
		Issuer(slug string) string
	}
}

// Get answers GET /api/links/{slug}/smart.
func (h Handler) Get(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Servers.Settings(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.write(w, http.StatusOK, s)
}

// Put answers PUT /api/links/{slug}/smart.
func (h Handler) Put(w http.ResponseWriter, r *http.Request) error {
	var in smartauth.NewSettings
	if err := httpx.DecodeJSON(r, &in); err != nil {
		return err
	}
	s, created, err := h.Servers.PutSettings(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), smartauth.PreconditionOf(r.Header), in)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return h.write(w, status, s)
}

// Delete answers DELETE /api/links/{slug}/smart.
func (h Handler) Delete(w http.ResponseWriter, r *http.Request) error {
	if err := h.Servers.DeleteSettings(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), smartauth.PreconditionOf(r.Header)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h Handler) write(w http.ResponseWriter, status int, s smartauth.Server) error {
	w.Header().Set("ETag", s.Settings.ETag())
	return httpx.WriteJSON(w, status, settingsOf(s, h.Servers.Issuer(string(s.Link.Slug))))
}
