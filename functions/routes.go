package functions

import (
	"net/http"
	"strings"

	"fhirlink/functions/apps"
	"fhirlink/functions/authorization"
	"fhirlink/functions/directory"
	"fhirlink/functions/discover"
	"fhirlink/functions/health"
	"fhirlink/functions/launches"
	"fhirlink/functions/links"
	"fhirlink/functions/me"
	"fhirlink/functions/openapi"
	"fhirlink/functions/register"
	secretexpiry "fhirlink/functions/secret-expiry"
	smartauthorize "fhirlink/functions/smart/authorize"
	smartdiscovery "fhirlink/functions/smart/discovery"
	smarttoken "fhirlink/functions/smart/token"
	"fhirlink/functions/token"
	translatescope "fhirlink/functions/translate-scope"
	"fhirlink/functions/verify"
	"fhirlink/functions/webhooks"
	"fhirlink/shared/azfunc"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
)

// Routes lists every public route. Every path also answers OPTIONS, and HEAD where it answers
// GET.
func (d Deps) Routes() []Route {
	var (
		links         = links.Handler{Links: d.Links, Now: d.Now}
		webhooks      = webhooks.Handler{Webhooks: d.Webhooks, Now: d.Now}
		authorization = authorization.Handler{Servers: d.SMART}
		apps          = apps.Handler{Apps: d.SMART}
		launches      = launches.Handler{Launches: d.EHR, Limit: d.limit(launches.PerMinute)}
		authorize     = smartauthorize.Handler{Launch: d.Launch, Limit: d.limit(smartauthorize.PerMinute)}
		appTokens     = smarttoken.Handler{Launch: d.Launch, Limit: d.limit(smarttoken.PerMinute), Failures: d.limit(smarttoken.FailuresPerMinute)}
		discovery     = smartdiscovery.Handler{Servers: d.SMART}
		ahead         = token.ReadAhead{Links: d.Tokens.ReadAhead}
		translate     = translatescope.Handler{Aliases: d.Aliases}.Translate
	)
	return []Route{
		{Function: "register", Method: "POST", Path: "/api/register", Right: caller.Manage, Progress: true, CORS: FrontEnds, Handle: register.Handler{Links: d.Links, Now: d.Now}.Register},
		{Function: "verify", Method: "POST", Path: "/api/verify", Right: caller.Manage, Progress: true, CORS: FrontEnds, Handle: verify.Handler{Links: d.Links}.Verify},
		{Function: "discover", Method: "POST", Path: "/api/discover", Right: caller.Manage, CORS: FrontEnds, Rate: Apart, Handle: discover.Handler{Servers: d.Servers}.Discover},
		{Function: "token", Method: "POST", Path: "/api/token", Right: caller.Token, Errors: OAuth, Rate: Unlimited, Ahead: ahead.Begin, Handle: token.Handler{Tokens: d.Tokens, Log: d.Log, Now: d.Now}.Issue},
		{Function: "translate-scope", Method: "GET", Path: "/api/translate-scope", Right: caller.Open, CORS: FrontEnds, Rate: Unlimited, Query: AnyQuery, Handle: translate},
		{Function: "translate-scope", Method: "POST", Path: "/api/translate-scope", Right: caller.Open, CORS: FrontEnds, Rate: Unlimited, Handle: translate},
		{Function: "links", Method: "GET", Path: "/api/links", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Query: []string{"limit", "continue", "expiringWithin", "status", "secretState"}, Handle: links.List},
		{Function: "links", Method: "GET", Path: "/api/links/{slug}", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: links.Get},
		{Function: "links", Method: "PATCH", Path: "/api/links/{slug}", Right: caller.Manage, Progress: true, CORS: FrontEnds, Handle: links.Patch},
		{Function: "links", Method: "DELETE", Path: "/api/links/{slug}", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: links.Delete},
		{Function: "links", Method: "PUT", Path: "/api/links/{slug}/secret", Right: caller.Manage, Progress: true, CORS: FrontEnds, Handle: links.SetSecret},
		{Function: "links", Method: "GET", Path: "/api/links/{slug}/events", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Query: []string{"limit", "continue"}, Handle: links.Events},
		{Function: "links", Method: "GET", Path: "/api/links/{slug}/report", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: links.Report},
		{Function: "authorization", Method: "GET", Path: "/api/links/{slug}/smart", Right: caller.Manage, CORS: FrontEndsCreating, Rate: Unlimited, Handle: authorization.Get},
		{Function: "authorization", Method: "PUT", Path: "/api/links/{slug}/smart", Right: caller.Manage, CORS: FrontEndsCreating, Handle: authorization.Put},
		{Function: "authorization", Method: "DELETE", Path: "/api/links/{slug}/smart", Right: caller.Manage, CORS: FrontEndsCreating, Rate: Unlimited, Handle: authorization.Delete},
		{Function: "apps", Method: "GET", Path: "/api/links/{slug}/apps", Right: caller.Manage, CORS: FrontEndsCreating, Rate: Unlimited, Query: []string{"limit", "continue"}, Handle: apps.List},
		{Function: "apps", Method: "POST", Path: "/api/links/{slug}/apps", Right: caller.Manage, CORS: FrontEndsCreating, Handle: apps.Create},
		{Function: "apps", Method: "GET", Path: "/api/links/{slug}/apps/{clientId}", Right: caller.Manage, CORS: FrontEndsCreating, Rate: Unlimited, Handle: apps.Get},
		{Function: "apps", Method: "PATCH", Path: "/api/links/{slug}/apps/{clientId}", Right: caller.Manage, CORS: FrontEndsCreating, Handle: apps.Patch},
		{Function: "apps", Method: "DELETE", Path: "/api/links/{slug}/apps/{clientId}", Right: caller.Manage, CORS: FrontEndsCreating, Rate: Unlimited, Handle: apps.Delete},
		{Function: "apps", Method: "POST", Path: "/api/links/{slug}/apps/{clientId}/secret", Right: caller.Manage, CORS: FrontEndsCreating, Handle: apps.NewSecret},
		{Function: "launches", Method: "POST", Path: "/api/links/{slug}/launches", Right: caller.Launch, Rate: Unlimited, Handle: launches.Create},
		{Function: "webhooks", Method: "GET", Path: "/api/webhooks", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: webhooks.List},
		{Function: "webhooks", Method: "POST", Path: "/api/webhooks", Right: caller.Manage, CORS: FrontEnds, Handle: webhooks.Create},
		{Function: "webhooks", Method: "GET", Path: "/api/webhooks/{id}", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: webhooks.Get},
		{Function: "webhooks", Method: "PATCH", Path: "/api/webhooks/{id}", Right: caller.Manage, CORS: FrontEnds, Handle: webhooks.Patch},
		{Function: "webhooks", Method: "DELETE", Path: "/api/webhooks/{id}", Right: caller.Manage, CORS: FrontEnds, Rate: Unlimited, Handle: webhooks.Delete},
		{Function: "webhooks", Method: "POST", Path: "/api/webhooks/{id}/test", Right: caller.Manage, CORS: FrontEnds, Handle: webhooks.Test},
		{Function: "webhooks", Method: "POST", Path: "/api/webhooks/{id}/rotate", Right: caller.Manage, CORS: FrontEnds, Handle: webhooks.Rotate},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/.well-known/smart-configuration", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: discovery.Metadata},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/.well-known/openid-configuration", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: discovery.Metadata},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/jwks", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: discovery.Keys},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/discovery/v2.0/keys", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: discovery.Keys},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/authorize", Right: caller.Open, Errors: AppPages, Rate: Unlimited, Query: AnyQuery, NoHead: true, Handle: authorize.Authorize},
		{Function: "smart", Method: "POST", Path: "/api/smart/{slug}/authorize", Right: caller.Open, Errors: AppPages, Rate: Unlimited, Query: AnyQuery, Body: smartauthorize.MaxForm, Handle: authorize.Authorize},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/oauth2/v2.0/authorize", Right: caller.Open, Errors: AppPages, Rate: Unlimited, Query: AnyQuery, NoHead: true, Handle: authorize.Authorize},
		{Function: "smart", Method: "POST", Path: "/api/smart/{slug}/oauth2/v2.0/authorize", Right: caller.Open, Errors: AppPages, Rate: Unlimited, Query: AnyQuery, Body: smartauthorize.MaxForm, Handle: authorize.Authorize},
		{Function: "smart", Method: "GET", Path: "/api/smart/{slug}/callback", Right: caller.Open, Errors: AppPages, Rate: Unlimited, Query: AnyQuery, NoHead: true, Handle: authorize.Callback},
		{Function: "smart", Method: "POST", Path: "/api/smart/{slug}/token", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: appTokens.Issue},
		{Function: "smart", Method: "POST", Path: "/api/smart/{slug}/oauth2/v2.0/token", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: appTokens.Issue},
		{Function: "smart", Method: "POST", Path: "/api/smart/{slug}/revoke", Right: caller.Open, Errors: OAuth, CORS: AnyOrigin, Rate: Unlimited, Query: AnyQuery, Handle: appTokens.Revoke},
		{Function: "directory", Method: "GET", Path: "/api/directory/{slug}", Right: caller.Any, CORS: FrontEnds, Rate: Unlimited, Handle: directory.Handler{Links: d.Links}.Get},
		{Function: "me", Method: "GET", Path: "/api/me", Right: caller.Any, CORS: FrontEnds, Rate: Unlimited, Handle: me.Get},
		{Function: "health", Method: "GET", Path: "/api/health", Right: caller.Open, CORS: FrontEnds, Rate: Unlimited, Handle: health.Handler{Program: d.Program, Version: d.Version, Reach: d.Reach}.Get},
		{Function: "openapi", Method: "GET", Path: "/api/openapi.yaml", Right: caller.Open, CORS: FrontEnds, Rate: Unlimited, Query: AnyQuery, Handle: openapi.Handler{Document: document}.Get},
	}
}

// limit is a limit of requests per minute, where there are limits at all.
func (d Deps) limit(perMinute int) *httpx.RateLimit {
	if d.Limits == nil {
		return nil
	}
	return httpx.NewRateLimit(perMinute, perMinute, d.Now)
}

// Pages lists the routes of the pages for people. They have a router of their own: see package manage.
func (d Deps) Pages() []Route {
	var all []Route
	for _, path := range []string{"/api/manage", "/api/manage/{path...}"} {
		for _, method := range []string{"GET", "POST"} {
			all = append(all, Route{Function: "manage", Method: method, Path: path, Right: caller.Open, Errors: Pages, Rate: Unlimited, Query: AnyQuery, Progress: method == "POST", Handle: d.page})
		}
	}
	return all
}

// page answers a request for a page. The pages are made when the first one is asked for, so that they
// cost a start nothing.
func (d Deps) page(w http.ResponseWriter, r *http.Request) error { return d.pages().Handle(w, r) }

// Triggers lists the routes that only the Azure Functions host may call. Each path is the name
// of its function.
func (d Deps) Triggers() []Route {
	return []Route{
		{Function: "secret-expiry", Method: "POST", Path: "/secret-expiry", Right: caller.FunctionsHost, Query: AnyQuery, Body: azfunc.MaxEnvelope, Handle: secretexpiry.Handler{Sweep: d.Sweep.RunUnlessRecent, Log: d.Log}.Run},
	}
}

// root answers the Functions host, which asks for / until it gets an answer. It shows people the way to
// the pages.
var root = Route{Method: "GET", Path: "/{$}", Right: caller.Open, CORS: FrontEnds, Rate: Unlimited, Query: AnyQuery, Handle: func(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/api/manage/", http.StatusSeeOther)
		return nil
	}
	return httpx.WriteJSON(w, http.StatusOK, map[string]string{"service": "fhirlink", "description": "/api/openapi.yaml"})
}}
