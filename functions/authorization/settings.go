package authorization

import (
	"fmt"

	"fhirlink/shared/date"
	"fhirlink/shared/smartauth"
)

// settings are the SMART authorization settings as the API writes them, with every default filled in.
type settings struct {
	Tokens             smartauth.Tokens      `json:"tokens"`
	Server             smartauth.ServerKind  `json:"server"`
	ServerClientID     string                `json:"serverClientId"`
	Audience           string                `json:"audience"`
	AccessTokenRoles   []string              `json:"accessTokenRoles"`
	Compartment        smartauth.Compartment `json:"compartment"`
	FHIRBaseURLs       []string              `json:"fhirBaseUrls"`
	UserClaim          string                `json:"userClaim"`
	Consent            string                `json:"consent"`
	Picker             string                `json:"picker"`
	Introspection      bool                  `json:"introspection"`
	AccessTokenSeconds int                   `json:"accessTokenSeconds"`
	RefreshDays        int                   `json:"refreshDays"`
	Context            smartauth.Context     `json:"context"`
	ScopesSupported    []string              `json:"scopesSupported"`
	Diagnostics        bool                  `json:"diagnostics"`

	Issuer    string       `json:"issuer"`
	Callback  string       `json:"callback"`
	Entra     registration `json:"entra"`
	CreatedAt date.Instant `json:"createdAt"`
	UpdatedAt date.Instant `json:"updatedAt"`
	ETag      string       `json:"etag"`
	Notes     []string     `json:"notes"`
}

// registration is what is to be set in Entra at the application by which users sign in.
type registration struct {
	RedirectURIs []string `json:"redirectUris"`
	Web          bool     `json:"web"` // the platform of the redirect URIs; never single-page application, whose refresh tokens end after a day
	Claims       []claim  `json:"claims"`
}

type claim struct {
	On    string `json:"on"` // app: the application by which users sign in
	Claim string `json:"claim"`
	How   string `json:"how"`
}

func settingsOf(s smartauth.Server, issuer string) settings {
	of, callback := s.Settings, issuer+smartauth.CallbackPath
	return settings{
		Tokens: of.Tokens, Server: of.Server, ServerClientID: of.ServerClientID, Audience: of.Audience(s.Link), AccessTokenRoles: *of.AccessTokenRoles,
		Compartment: of.Compartment, FHIRBaseURLs: append([]string{}, of.FHIRBaseURLs...), UserClaim: of.UserClaim, Consent: "none", Picker: "none",
		AccessTokenSeconds: of.TokenSeconds, RefreshDays: of.RefreshDays, Context: of.Context, ScopesSupported: s.ScopesSupported(), Diagnostics: of.Diagnostics,
		Issuer: issuer, Callback: callback,
		Entra: registration{RedirectURIs: []string{callback}, Web: true, Claims: []claim{{
			On: "app", Claim: of.UserClaim,
			How: fmt.Sprintf("In the app registration %s: Token configuration, Add optional claim, ID, and choose the directory extension that holds the user's FHIR resource, or assign a claims-mapping policy. The value is Type/id, such as Practitioner/1 or Patient/1; without it a user is granted no scope for data.", s.Link.ClientID),
		}}},
		CreatedAt: date.At(of.CreatedAt), UpdatedAt: date.At(of.UpdatedAt), ETag: of.ETag(), Notes: s.Notes(),
	}
}
