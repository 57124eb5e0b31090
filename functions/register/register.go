package register

import (
	"context"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linkjson"
)

// Registrar is the part of [link.Service] that the endpoint uses.
type Registrar interface {
	Register(ctx context.Context, organization string, r intake.Registration) (link.Result, error)
}

// Handler serves the endpoint.
type Handler struct {
	Links Registrar
	Now   func() time.Time
}

// Register answers POST /api/register.
func (h Handler) Register(w http.ResponseWriter, r *http.Request) error {
	var registration intake.Registration
	if err := httpx.DecodeJSON(r, &registration); err != nil {
		return err
	}
	result, err := h.Links.Register(r.Context(), caller.Organization(r.Context()), registration)
	if err != nil {
		return err
	}
	eventlog.Current(r.Context()).Find(result.Finding())
	w.Header().Set("Location", "/api/links/"+string(result.Link.Slug))
	return linkjson.WriteResult(w, http.StatusCreated, result, h.Now())
}
