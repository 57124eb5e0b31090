package main

import (
	"errors"
	"log/slog"
	"strings"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/functions/manage"
	"fhirlink/shared/config"
	"fhirlink/shared/entra"
	"fhirlink/shared/signin"
)

// people returns who looks at the pages, and the origin of the site where they sign in, if they do.
// With audience and tenants set, that is the configured authority, else the sandbox's.
func (p *program) people(o options, c config.Config, out clients, log *slog.Logger) (who manage.SignIn, authority string, err error) {
	if !o.signIn {
		return thisMachine{}, "", nil
	}
	of := signin.Config{
		PublicURL: c.PublicURL, Now: o.ahead.now, Log: log,
		Sealer: p.sealer,
	}
	var tokens *entra.AccessTokens
	switch {
	case checksTokens(c) && c.SignInClient() == "":
		return nil, "", errors.New("-sign-in: FHIRLINK_API_AUDIENCE has no client id (GUID), which people sign in to. Add the API's client id")
	case checksTokens(c):
		of.Authority, of.ClientID, of.Tenants, of.Operator = c.Authority, c.SignInClient(), c.Tenants, c.OperatorTenant
		tokens = configured(c, o.ahead.now)
		p.hint = "People sign in at " + c.Authority + "."
	case out.box == nil:
		return nil, "", errors.New("-sign-in: there is nowhere to sign in. Leave out -sandbox=false, or set FHIRLINK_API_AUDIENCE and FHIRLINK_ALLOWED_TENANTS")
	default:
		p.hint = "People sign in at a sandbox Entra: ada may manage servers, nobody may not, and guest is at home in another organization."
		of.Authority, of.ClientID, of.Tenants = out.site.URL, sandbox.APIClientID, sandbox.Tenants()
		tokens = entra.NewAccessTokens(entra.AccessTokensConfig{Authority: sandbox.Authority, Tenants: of.Tenants, Client: out.entra, Now: o.ahead.now})
	}
	of.Flow = signin.IDToken{Tokens: tokens.IDTokens(of.ClientID)}
	return manage.People{Service: signin.New(of)}, strings.TrimRight(of.Authority, "/"), nil
}
