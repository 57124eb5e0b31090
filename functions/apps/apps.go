package apps

import (
	"context"
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/linkjson"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/jwks"
)

// Reader is the part of [smartauth.Service] that reads apps.
type Reader interface {
	AppsPage(ctx context.Context, organization, slug string, limit int, from string) ([]smartauth.App, string, error)
	App(ctx context.Context, organization, slug, clientID string) (smartauth.App, []string, error)
}

// Changer is the part of [smartauth.Service] that changes apps.
type Changer interface {
	CreateApp(ctx context.Context, organization, slug string, in smartauth.NewApp) (smartauth.App, secret.Value, []string, error)
	ChangeApp(ctx context.Context, organization, slug, clientID string, p smartauth.Precondition, in smartauth.NewApp) (smartauth.App, []string, error)
	NewAppSecret(ctx context.Context, organization, slug, clientID string, p smartauth.Precondition, in smartauth.NewSecret) (smartauth.App, secret.Value, []string, error)
	DeleteApp(ctx context.Context, organization, slug, clientID string, p smartauth.Precondition) error
}

// Handler serves the endpoint.
type Handler struct {
	Apps interface {
		Reader
		Changer
	}
}

// List answers GET /api/links/{slug}/apps.
func (h Handler) List(w http.ResponseWriter, r *http.Request) error {
	query, err := httpx.ReadQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	limit, after := query.Page()
	if err := query.Err(); err != nil {
		return err
	}
	found, next, err := h.Apps.AppsPage(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), limit, after)
	if err != nil {
		return err
	}
	body := list{Apps: make([]app, len(found)), Continue: next}
	for i, a := range found {
		body.Apps[i] = appOf(a)
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

type list struct {
	Apps     []app  `json:"apps"`
	Continue string `json:"continue"` // "" on the last page
}

// Create answers POST /api/links/{slug}/apps.
func (h Handler) Create(w http.ResponseWriter, r *http.Request) error {
	var in smartauth.NewApp
	if err := httpx.DecodeJSON(r, &in); err != nil {
		return err
	}
	a, clientSecret, notes, err := h.Apps.CreateApp(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), in)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/links/"+r.PathValue("slug")+"/apps/"+a.ClientID)
	return tell(w, http.StatusCreated, a, notes, clientSecret)
}

// Get answers GET /api/links/{slug}/apps/{clientId}.
func (h Handler) Get(w http.ResponseWriter, r *http.Request) error {
	a, notes, err := h.Apps.App(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), r.PathValue("clientId"))
	if err != nil {
		return err
	}
	return tell(w, http.StatusOK, a, notes, secret.Value{})
}

// Patch answers PATCH /api/links/{slug}/apps/{clientId}.
func (h Handler) Patch(w http.ResponseWriter, r *http.Request) error {
	var in smartauth.NewApp
	if err := httpx.DecodeJSON(r, &in); err != nil {
		return err
	}
	a, notes, err := h.Apps.ChangeApp(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), r.PathValue("clientId"), smartauth.PreconditionOf(r.Header), in)
	if err != nil {
		return err
	}
	return tell(w, http.StatusOK, a, notes, secret.Value{})
}

// Delete answers DELETE /api/links/{slug}/apps/{clientId}.
func (h Handler) Delete(w http.ResponseWriter, r *http.Request) error {
	if err := h.Apps.DeleteApp(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), r.PathValue("clientId"), smartauth.PreconditionOf(r.Header)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// NewSecret answers POST /api/links/{slug}/apps/{clientId}/secret.
func (h Handler) NewSecret(w http.ResponseWriter, r *http.Request) error {
	var in smartauth.NewSecret
	if err := httpx.DecodeJSON(r, &in); err != nil {
		return err
	}
	a, made, notes, err := h.Apps.NewAppSecret(r.Context(), caller.Organization(r.Context()), r.PathValue("slug"), r.PathValue("clientId"), smartauth.PreconditionOf(r.Header), in)
	if err != nil {
		return err
	}
	return tell(w, http.StatusCreated, a, notes, made)
}

// app is an app as its organization sees it.
type app struct {
	ClientID                 string                `json:"clientId"`
	Name                     string                `json:"name"`
	Type                     smartauth.AppType     `json:"type"`
	RedirectURIs             []string              `json:"redirectUris"`
	LaunchURI                string                `json:"launchUri,omitempty"`
	Scopes                   []string              `json:"scopes"`
	Grants                   []smartauth.GrantType `json:"grants"`
	JWKSURI                  string                `json:"jwksUri,omitempty"`
	JWKS                     jwks.Set              `json:"jwks,omitzero"`
	PKCE                     string                `json:"pkce"`
	AuthorizationResponseIss bool                  `json:"authorizationResponseIss"`
	Introspect               bool                  `json:"introspect"`
	Entra                    *registration         `json:"entra,omitempty"`
	Enabled                  bool                  `json:"enabled"`
	CreatedAt                date.Instant          `json:"createdAt"`
	UpdatedAt                date.Instant          `json:"updatedAt"`
	ETag                     string                `json:"etag"`
}

// registration is the app's own registration in Entra.
type registration struct {
	ClientID string           `json:"clientId"`
	Secret   *linkjson.Secret `json:"secret,omitempty"` // absent: it is not kept any more
}

func appOf(a smartauth.App) app {
	described := app{
		ClientID: a.ClientID, Name: a.Name, Type: a.Type, RedirectURIs: append([]string{}, a.RedirectURIs...), LaunchURI: a.LaunchURI, Scopes: a.Scopes, Grants: a.GrantTypes(), JWKSURI: a.JWKSURI, JWKS: a.JWKS,
		PKCE: "required", AuthorizationResponseIss: a.AuthorizationResponseIss, Enabled: !a.Disabled,
		CreatedAt: date.At(a.CreatedAt), UpdatedAt: date.At(a.UpdatedAt), ETag: a.ETag(),
	}
	if a.EntraClientID != "" {
		described.Entra = &registration{ClientID: a.EntraClientID}
		if known := a.Registration; known.Row.ClientID != "" {
			state := linkjson.SecretOf(known.Row, known.At)
			described.Entra.Secret = &state
		}
	}
	if a.PKCEOptional {
		described.PKCE = "optional"
	}
	return described
}

// tell answers with an app, and with its client secret if that was made by the request. No other code
// shows one.
func tell(w http.ResponseWriter, status int, a smartauth.App, notes []string, made secret.Value) error {
	w.Header().Set("ETag", a.ETag())
	w.Header().Set("Pragma", "no-cache")
	return httpx.WriteJSON(w, status, struct {
		app
		Notes        []string `json:"notes"`
		ClientSecret string   `json:"clientSecret,omitempty"`
	}{appOf(a), append([]string{}, notes...), made.Reveal()})
}
