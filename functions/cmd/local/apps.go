package main

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/functions/cmd/local/sandbox/resource"
	"fhirlink/functions/cmd/local/sandbox/smartapp"
	"fhirlink/shared/config"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/tenantkeys"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/link"
	"fhirlink/shared/link/application"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/keyfile"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/smartauth/launch"
)

// serveApps assembles the authorization servers of links, and with the sandbox the FHIR servers and an app
// for browsers.
func (p *program) serveApps(o options, c config.Config, out clients, log *slog.Logger) error {
	rows, key := p.stores.KeyedRows(), signer.New(keyfile.New(filepath.Join(o.data, signingKeyFile)), o.ahead.now, log)
	links := smartauth.LinksOf(p.links, p.stores.Get)
	tenantKeys := tenantkeys.New(out.entra, o.ahead.now)
	p.smart = smartauth.New(smartauth.Deps{
		Rows: rows, Links: links, Keys: key, PublicURL: c.PublicURL, AnyTarget: len(c.EgressAllow) > 0, MoreBaseURLs: p.moreBaseURLs, Authority: out.authority, Now: o.ahead.now,
		Aliases: c.ScopeAliases,
		TenantKeys: func(ctx context.Context, l link.Link, resource string) []jose.JSONWebKey {
			server, err := l.Server()
			if err != nil {
				return nil
			}
			return tenantKeys.Of(ctx, out.authority(server), l.TenantID, resource)
		},
		Registrations: application.Registrations{Rows: link.AppRows{Service: p.links}, AnyTarget: len(c.EgressAllow) > 0, Now: o.ahead.now},
	})
	p.links.OnWrite(func(slug link.Slug) { p.smart.Forget(string(slug)) })
	p.links.KeepsApps(p.smart)
	p.launch = launch.New(launch.Deps{
		Servers: p.smart, Clients: p.tokens, SignIns: &webauth.SignIns{Client: out.entra}, Tokens: &clientcred.Source{Client: out.entra}, IDTokens: entra.NewApplications(out.entra, o.ahead.now), Signer: key, Rows: rows, Sealer: p.sealer,
		AppKeys: jwks.NewPublished(out.appKeys, o.ahead.now), Authorize: out.authorize, Log: log, Now: o.ahead.now,
	})
	p.ehr = ehr.New(ehr.Deps{Servers: p.smart, Rows: rows, Sealer: p.sealer, Now: o.ahead.now})
	if out.box == nil {
		return nil
	}
	p.resources = resource.New(resource.Deps{
		Link: links.Live, SMART: p.smart, Scenarios: out.box.FHIRForBrowsers, Owns: sandbox.Owns, Issuers: sandbox.Issuers, PublicURL: c.PublicURL, Now: o.ahead.now,
	})
	return out.box.Open(func(origin string) http.Handler {
		p.app = origin + "/"
		app := &smartapp.App{Links: p.links, SMART: p.smart, EHR: p.ehr, Organization: localOrganization, Base: p.resources.Base, PublicURL: c.PublicURL, Origin: origin, Now: o.ahead.now}
		return app.Handler()
	})
}

// moreBaseURLs are where the FHIR server of a link is for browsers, if it is one of the sandbox's.
func (p *program) moreBaseURLs(l link.Link) []string {
	if p.resources == nil {
		return nil
	}
	if base, ok := p.resources.Base(l); ok {
		return []string{base}
	}
	return nil
}

// withResources answers at the sandbox's FHIR servers for browsers, and passes every other request to next.
func (p *program) withResources(next http.Handler) http.Handler {
	if p.resources == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isResource(r) {
			p.resources.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isResource reports whether a request is for one of the sandbox's FHIR servers for browsers.
func isResource(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, resource.Path) && isBelow(r, resource.Path)
}
