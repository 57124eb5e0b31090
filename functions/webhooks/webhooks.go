package webhooks

import (
	"context"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/secret"
)

// Manager is the part of [webhook.Service] that stores endpoints.
type Manager interface {
	List(ctx context.Context, organization string) ([]webhook.Endpoint, error)
	Get(ctx context.Context, organization, id string) (webhook.Endpoint, error)
	Change(ctx context.Context, organization, id string, p webhook.Patch) (webhook.Endpoint, error)
	Remove(ctx context.Context, organization, id string) error
}

// Signer is the part of [webhook.Service] that uses signing keys.
type Signer interface {
	Create(ctx context.Context, organization string, n webhook.NewEndpoint) (webhook.Endpoint, secret.Value, error)
	Rotate(ctx context.Context, organization, id string) (webhook.Endpoint, secret.Value, error)
	Test(ctx context.Context, organization, id string) (notify.Event, notify.Result, error)
}

// Handler serves the endpoint.
type Handler struct {
	Webhooks interface {
		Manager
		Signer
	}
	Now func() time.Time
}

// List answers GET /api/webhooks.
func (h Handler) List(w http.ResponseWriter, r *http.Request) error {
	endpoints, err := h.Webhooks.List(r.Context(), caller.Organization(r.Context()))
	if err != nil {
		return err
	}
	body := list{Webhooks: make([]endpoint, len(endpoints))}
	for i, e := range endpoints {
		body.Webhooks[i] = h.describe(e)
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

// Create answers POST /api/webhooks.
func (h Handler) Create(w http.ResponseWriter, r *http.Request) error {
	var n webhook.NewEndpoint
	if err := httpx.DecodeJSON(r, &n); err != nil {
		return err
	}
	e, key, err := h.Webhooks.Create(r.Context(), caller.Organization(r.Context()), n)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/webhooks/"+e.ID)
	return h.tell(w, http.StatusCreated, e, key)
}

// Get answers GET /api/webhooks/{id}.
func (h Handler) Get(w http.ResponseWriter, r *http.Request) error {
	e, err := h.Webhooks.Get(r.Context(), caller.Organization(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, h.describe(e))
}

// Patch answers PATCH /api/webhooks/{id}.
func (h Handler) Patch(w http.ResponseWriter, r *http.Request) error {
	var patch webhook.Patch
	if err := httpx.DecodeJSON(r, &patch); err != nil {
		return err
	}
	e, err := h.Webhooks.Change(r.Context(), caller.Organization(r.Context()), r.PathValue("id"), patch)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, h.describe(e))
}

// Delete answers DELETE /api/webhooks/{id}.
func (h Handler) Delete(w http.ResponseWriter, r *http.Request) error {
	if err := h.Webhooks.Remove(r.Context(), caller.Organization(r.Context()), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Test answers POST /api/webhooks/{id}/test.
func (h Handler) Test(w http.ResponseWriter, r *http.Request) error {
	event, result, err := h.Webhooks.Test(r.Context(), caller.Organization(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, attempt{event.ID, event.Type, result.Outcome.String(), result.Reason})
}

// Rotate answers POST /api/webhooks/{id}/rotate.
func (h Handler) Rotate(w http.ResponseWriter, r *http.Request) error {
	e, key, err := h.Webhooks.Rotate(r.Context(), caller.Organization(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	return h.tell(w, http.StatusOK, e, key)
}

// tell answers with an endpoint and its new signing key. No other code shows a key.
func (h Handler) tell(w http.ResponseWriter, status int, e webhook.Endpoint, key secret.Value) error {
	w.Header().Set("Pragma", "no-cache")
	return httpx.WriteJSON(w, status, struct {
		endpoint
		SigningKey string `json:"signingSecret"`
	}{h.describe(e), key.Reveal()})
}
