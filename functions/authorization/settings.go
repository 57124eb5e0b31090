package authorization

import (
	"maps"

	"fhirlink/shared/date"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/guidance"
)

// settings are the SMART authorization settings as the API writes them, with every default filled in. What has
// no meaning for the kind of access tokens is left out.
type settings struct {
	Tokens smartauth.Tokens     `json:"tokens"`
	Server smartauth.ServerKind `json:"server"`
	*ownTokens
	*entrasTokens
	FHIRBaseURLs    []string          `json:"fhirBaseUrls"`
	UserClaim       string            `json:"userClaim"`
	Consent         string            `json:"consent"`
	Picker          string            `json:"picker"`
	RefreshDays     int               `json:"refreshDays"`
	Context         smartauth.Context `json:"context"`
	ScopesSupported []string          `json:"scopesSupported"`
	Diagnostics     bool              `json:"diagnostics"`

	Issuer    string            `json:"issuer"`
	Callback  string            `json:"callback"`
	Entra     registration      `json:"entra"`
	Snippets  guidance.Snippets `json:"snippets"`
	CreatedAt date.Instant      `json:"createdAt"`
	UpdatedAt date.Instant      `json:"updatedAt"`
	ETag      string            `json:"etag"`
	Notes     []string          `json:"notes"`
}

// ownTokens are the settings of access tokens that are made here.
type ownTokens struct {
	ServerClientID     string                `json:"serverClientId"`
	Audience           string                `json:"audience"`
	AccessTokenRoles   []string              `json:"accessTokenRoles"`
	Compartment        smartauth.Compartment `json:"compartment"`
	Introspection      bool                  `json:"introspection"`
	AccessTokenSeconds int                   `json:"accessTokenSeconds"`
}

// entrasTokens are the settings of Entra's access tokens.
type entrasTokens struct {
	Dialect   smart.Dialect     `json:"dialect"`
	Separator string            `json:"separator,omitempty"` // of the dialect firely
	Aliases   map[string]string `json:"aliases"`
	Resource  string            `json:"resource"`
	Request   string            `json:"request"`
}

// registration is what is to be set in Entra at the applications by which users sign in, and with Entra's access
// tokens at the one of the FHIR server.
type registration struct {
	RedirectURIs []string `json:"redirectUris"`
	Web          bool     `json:"web"` // the platform of the redirect URIs; never single-page application, whose refresh tokens end after a day
	*scopes
	Claims []claim `json:"claims"`
}

// scopes are what the application of the FHIR server exposes, with Entra's access tokens.
type scopes struct {
	Scopes   []smartauth.Registered `json:"scopes"`   // delegated permissions
	AppRoles []smartauth.Registered `json:"appRoles"` // of backend services
}

type claim struct {
	On    string `json:"on"` // app: the application by which users sign in; resource: that of the FHIR server
	Claim string `json:"claim"`
	How   string `json:"how"`
}

func settingsOf(s smartauth.Server, issuer string) settings {
	of, callback := s.Settings, issuer+smartauth.CallbackPath
	described := settings{
		Tokens: of.Tokens, Server: of.Server, FHIRBaseURLs: append([]string{}, of.FHIRBaseURLs...), UserClaim: of.UserClaim, Consent: "none", Picker: "none",
		RefreshDays: of.RefreshDays, Context: of.Context, ScopesSupported: s.ScopesSupported(), Diagnostics: of.Diagnostics,
		Issuer: issuer, Callback: callback,
		Entra: registration{RedirectURIs: []string{callback}, Web: true, Claims: []claim{{
			On: "app", Claim: of.UserClaim, How: inTheIDToken(s),
		}}},
		Snippets:  s.Snippets(issuer),
		CreatedAt: date.At(of.CreatedAt), UpdatedAt: date.At(of.UpdatedAt), ETag: of.ETag(), Notes: s.Notes(),
	}
	if of.Tokens == smartauth.OfEntra {
		described.entrasTokens = &entrasTokens{Dialect: of.Spelling.Dialect, Separator: of.Spelling.Separator, Aliases: map[string]string{}, Resource: s.Resource(), Request: smartauth.RequestScopes}
		maps.Copy(described.Aliases, of.Spelling.Aliases)
		if of.Spelling.Default {
			described.Request = smartauth.RequestDefault
		}
		delegated, roles := s.ToRegister()
		described.Entra.scopes = &scopes{delegated, roles}
		described.Entra.Claims = append(described.Entra.Claims, claim{On: "resource", Claim: of.UserClaim, How: inTheAccessToken(s)})
		return described
	}
	described.ownTokens = &ownTokens{
		ServerClientID: of.ServerClientID, Audience: of.Audience(s.Link), AccessTokenRoles: *of.AccessTokenRoles, Compartment: of.Compartment, AccessTokenSeconds: of.TokenSeconds,
	}
	return described
}

// inTheIDToken says how the user's FHIR resource gets into what Entra tells us of the user.
func inTheIDToken(s smartauth.Server) string {
	const decides = ". It decides whose data a user sees: let only administrators write it."
	const how = "Token configuration, Add optional claim, ID, and choose the directory extension that holds the user's FHIR resource, or assign a claims-mapping policy. The value is Type/id, such as Practitioner/1 or Patient/1"
	if s.Settings.Tokens == smartauth.OfEntra {
		return "In the app registration of each app (its entra.clientId): " + how + "; without it an app learns of no patient" + decides
	}
	return "In the app registration " + s.Link.ClientID + ": " + how + "; without it a user is granted no scope for data" + decides
}

// inTheAccessToken says how it gets into the access token, which follows the application of the FHIR server.
func inTheAccessToken(s smartauth.Server) string {
	return "In the app registration of the FHIR server (" + s.Resource() + "): Token configuration, Add optional claim, Access, and choose the same directory extension, or assign a claims-mapping policy to its service principal. Microsoft's FHIR servers look there for the user's own compartment."
}
