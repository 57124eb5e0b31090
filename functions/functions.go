// Package functions is the API: the one list of its routes, who may use them, and the two
// handlers that every program serves. `ls functions` shows the endpoints, one package each.
package functions

import (
	_ "embed"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/functions/directory"
	"fhirlink/functions/health"
	"fhirlink/functions/links"
	"fhirlink/functions/openapi"
	"fhirlink/functions/register"
	secretexpiry "fhirlink/functions/secret-expiry"
	"fhirlink/functions/token"
	translatescope "fhirlink/functions/translate-scope"
	"fhirlink/functions/verify"
	"fhirlink/functions/webhooks"
	"fhirlink/shared/expiry"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/smart"
)

//go:embed openapi.yaml
var document []byte

// Deps is what the functions need. All fields are required but Origins, Limits, Aliases, Reach
// and Now.
type Deps struct {
	Links    *link.Service
	Webhooks *webhook.Service
	Callers  Authenticator // Bearer in the cloud
	Sweep    expiry.Sweep
	Origins  []string               // of web front ends
	Limits   *httpx.RateLimit       // per organization; nil: none
	Aliases  smart.Aliases          // of scopes, for translate-scope
	Reach    func() map[string]bool // upstream.Watch.Reachable, for health
	Log      *slog.Logger           // of eventlog.New: it must not block
	Now      func() time.Time       // time.Now when nil
	Program  string                 // local, azure or lambda
	Version  string
}

// Limits of the routes that are marked as limited, per organization and instance.
const (
	PerMinute = 60
	Burst     = 200
)

// Route is one method at one path.
type Route struct {
	Function string // the folder with its function.json
	Method   string
	Path     string // as http.ServeMux has it
	Right    Right
	Limited  bool // counts against the organization's limit
	handle   httpx.HandlerFunc
}

// Routes is the list. Every path answers OPTIONS besides, and HEAD where it answers GET.
func (d Deps) Routes() []Route {
	links := links.Handler{Links: d.Links, Now: d.Now}
	webhooks := webhooks.Handler{Webhooks: d.Webhooks, Now: d.Now}
	translate := translatescope.Handler{Aliases: d.Aliases}.Translate
	return []Route{
		{"register", "POST", "/api/register", Manage, true, register.Handler{Links: d.Links, Now: d.Now}.Register},
		{"verify", "POST", "/api/verify", Manage, true, verify.Handler{Links: d.Links}.Verify},
		{"token", "POST", tokenPath, Token, false, token.Handler{Links: d.Links, Log: d.Log, Now: d.Now}.Issue},
		{"translate-scope", "GET", "/api/translate-scope", Open, false, translate},
		{"translate-scope", "POST", "/api/translate-scope", Open, false, translate},
		{"links", "GET", "/api/links", Manage, false, links.List},
		{"links", "GET", "/api/links/{slug}", Manage, false, links.Get},
		{"links", "PATCH", "/api/links/{slug}", Manage, true, links.Patch},
		{"links", "DELETE", "/api/links/{slug}", Manage, false, links.Delete},
		{"links", "PUT", "/api/links/{slug}/secret", Manage, true, links.SetSecret},
		{"links", "GET", "/api/links/{slug}/events", Manage, false, links.Events},
		{"webhooks", "GET", "/api/webhooks", Manage, false, webhooks.List},
		{"webhooks", "POST", "/api/webhooks", Manage, true, webhooks.Create},
		{"webhooks", "GET", "/api/webhooks/{id}", Manage, false, webhooks.Get},
		{"webhooks", "PATCH", "/api/webhooks/{id}", Manage, true, webhooks.Patch},
		{"webhooks", "DELETE", "/api/webhooks/{id}", Manage, false, webhooks.Delete},
		{"webhooks", "POST", "/api/webhooks/{id}/test", Manage, true, webhooks.Test},
		{"webhooks", "POST", "/api/webhooks/{id}/rotate", Manage, true, webhooks.Rotate},
		{"directory", "GET", "/api/directory/{slug}", AnyCaller, false, directory.Handler{Links: d.Links}.Get},
		{"health", "GET", "/api/health", Open, false, health.Handler{Program: d.Program, Version: d.Version, Reach: d.Reach}.Get},
		{"openapi", "GET", "/api/openapi.yaml", Open, false, openapi.Handler{Document: document}.Get},
	}
}

// Triggers are the routes that only the Azure Functions host may reach, under the function's
// name as the host calls it.
func (d Deps) Triggers() []Route {
	return []Route{
		{"secret-expiry", "POST", "/secret-expiry", Open, false, secretexpiry.Handler{Sweep: d.Sweep.RunUnlessRecent, Log: d.Log}.Run},
	}
}

// tokenPath is the one route with errors of RFC 6749, and the one no web page may call.
const tokenPath = "/api/token"

// New makes two handlers: public answers everything under /api/ and GET /, triggers what the
// Azure Functions host calls. Host keeps strangers away from the triggers.
func New(d Deps) (public, triggers http.Handler) {
	if d.Now == nil {
		d.Now = time.Now
	}
	ready := Route{Method: "GET", Path: "/{$}", handle: ready}
	return d.serve(append(d.Routes(), ready)), d.serve(d.Triggers())
}

// ready answers the Functions host, which asks for / until it gets an answer.
func ready(w http.ResponseWriter, _ *http.Request) error {
	return httpx.WriteJSON(w, http.StatusOK, map[string]string{"service": "fhirlink", "description": "/api/openapi.yaml"})
}
