package links

import (
	"context"
	"net/http"
	"strings"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linkjson"
)

// Reader is the part of [link.Service] that reads links.
type Reader interface {
	Get(ctx context.Context, organization, slug string) (link.Link, error)
	List(ctx context.Context, organization string, f link.Filter, limit int, continuation string) ([]link.Link, string, error)
}

// Changer is the part of [link.Service] that changes links.
type Changer interface {
	Patch(ctx context.Context, organization, slug, ifMatch string, p intake.Patch) (link.Result, error)
	SetSecret(ctx context.Context, organization, slug, ifMatch string, n intake.NewSecret) (link.Result, error)
	Delete(ctx context.Context, organization, slug, ifMatch string) error
}

// Handler serves the endpoint.
type Handler struct {
	Links interface {
		Reader
		Changer
		Trail
		Reporter
	}
	Now func() time.Time
}

// List answers GET /api/links.
func (h Handler) List(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	links, next, err := h.Links.List(r.Context(), caller.Organization(r.Context()), page.filter, page.limit, page.after)
	if err != nil {
		return err
	}
	now := h.Now()
	body := list{Links: make([]linkjson.Link, len(links)), Continue: next}
	for i, l := range links {
		body.Links[i] = linkjson.Of(l, now)
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

type list struct {
	Links    []linkjson.Link `json:"links"`
	Continue string          `json:"continue"` // "" on the last page
}

// Get answers GET /api/links/{slug}.
func (h Handler) Get(w http.ResponseWriter, r *http.Request) error {
	l, err := h.Links.Get(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"))
	if err != nil {
		return err
	}
	return linkjson.Write(w, l, h.Now())
}

// Patch answers PATCH /api/links/{slug}.
func (h Handler) Patch(w http.ResponseWriter, r *http.Request) error {
	var patch intake.Patch
	if err := httpx.DecodeJSON(r, &patch); err != nil {
		return err
	}
	result, err := h.Links.Patch(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), ifMatch(r), patch)
	if err != nil {
		return err
	}
	eventlog.Current(r.Context()).Find(result.Finding())
	return linkjson.WriteResult(w, http.StatusOK, result, h.Now())
}

// SetSecret answers PUT /api/links/{slug}/secret.
func (h Handler) SetSecret(w http.ResponseWriter, r *http.Request) error {
	var secret intake.NewSecret
	if err := httpx.DecodeJSON(r, &secret); err != nil {
		return err
	}
	result, err := h.Links.SetSecret(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), ifMatch(r), secret)
	if err != nil {
		return err
	}
	eventlog.Current(r.Context()).Find(result.Finding())
	return linkjson.WriteResult(w, http.StatusOK, result, h.Now())
}

// Delete answers DELETE /api/links/{slug}.
func (h Handler) Delete(w http.ResponseWriter, r *http.Request) error {
	if err := h.Links.Delete(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), ifMatch(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ifMatch returns the header's value; several lines are one list (RFC 9110 §5.3).
func ifMatch(r *http.Request) string { return strings.Join(r.Header["If-Match"], ", ") }
