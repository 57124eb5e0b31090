package smartauth

import (
	"context"
	"slices"
	"strings"

	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/jwks"
)

// Paths below an issuer.
const (
	AuthorizePath = "/authorize"
	TokenPath     = "/token"
	RevokePath    = "/revoke"
	KeysPath      = "/jwks"
	CallbackPath  = "/callback"

	// OtherTokenPath is where Microsoft's FHIR server says that the token endpoint is, for a day, if it
	// could not fetch our metadata.
	OtherTokenPath = "/oauth2/v2.0/token"
)

// Metadata is the document by which apps and FHIR servers find out about an authorization server: SMART's
// configuration (SMART App Launch 2.2, "Conformance") and OpenID Connect's (Discovery 1.0 §3) in one.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	CodeChallengeMethods  []string `json:"code_challenge_methods_supported"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	AssertionAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	Claims                []string `json:"claims_supported"`
	Scopes                []string `json:"scopes_supported"`
	Capabilities          []string `json:"capabilities"`
}

// Metadata returns the document of a link's authorization server. Errors: ErrUnknown,
// UpstreamUnavailable.
func (s *Service) Metadata(ctx context.Context, slug string) (Metadata, error) {
	server, err := s.Server(ctx, slug)
	return server.metadata, err
}

// describe makes the document about a server.
func describe(server Server, issuer string) Metadata {
	m := Metadata{
		Issuer: issuer, JWKSURI: issuer + KeysPath, AuthorizationEndpoint: issuer + AuthorizePath, TokenEndpoint: issuer + TokenPath, RevocationEndpoint: issuer + RevokePath,
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: []string{"authorization_code", "refresh_token"},
		CodeChallengeMethods: []string{"S256"}, AuthMethods: []string{"client_secret_basic", "client_secret_post", "none"},
		SubjectTypes: []string{"public"}, IDTokenAlgorithms: []string{"RS256"},
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "name", "preferred_username", "email"},
		Scopes: server.ScopesSupported(), Capabilities: server.capabilities(),
	}
	if server.has(App.backend) {
		m.GrantTypes = append(m.GrantTypes, string(ClientCredentials))
	}
	if server.has(func(a App) bool { return a.Type == Asymmetric }) {
		m.AuthMethods = append(m.AuthMethods[:2:2], "private_key_jwt", "none")
		for _, one := range jwks.Algorithms {
			m.AssertionAlgorithms = append(m.AssertionAlgorithms, string(one))
		}
	}
	return m
}

// has reports whether there is an app which is so and is not switched off.
func (s Server) has(is func(App) bool) bool {
	return slices.ContainsFunc(s.Apps, func(a App) bool { return !a.Disabled && is(a) })
}

// ScopesSupported are those that the settings name, else those that the apps may ask for, sorted.
func (s Server) ScopesSupported() []string {
	if s.Settings.ScopesSupported != nil {
		return *s.Settings.ScopesSupported
	}
	all := []string{}
	for _, a := range s.Apps {
		if !a.Disabled {
			all = append(all, a.Scopes...)
		}
	}
	slices.SortFunc(all, strings.Compare)
	return slices.Compact(all)
}

// capabilities are those of SMART's list that this link has.
func (s Server) capabilities() []string {
	asks := func(is func(scope string) bool) bool {
		return s.has(func(a App) bool { return slices.ContainsFunc(a.Scopes, is) })
	}
	in := func(context string) func(string) bool {
		return func(scope string) bool {
			return smart.Parse(scope).Context == context && smart.Parse(scope).Kind == smart.Resource
		}
	}
	is := func(wanted string) func(string) bool { return func(scope string) bool { return scope == wanted } }
	constants := s.Settings.Context
	var all []string
	for _, c := range []struct {
		name string
		is   bool
	}{
		{"launch-ehr", true},
		{"launch-standalone", true},
		{"authorize-post", true},
		{"client-public", s.has(func(a App) bool { return a.Type == Public })},
		{"client-confidential-symmetric", s.has(func(a App) bool { return a.Type == Symmetric })},
		{"client-confidential-asymmetric", s.has(func(a App) bool { return a.Type == Asymmetric })},
		{"sso-openid-connect", asks(is("openid"))},
		{"context-ehr-patient", true},
		{"context-ehr-encounter", true},
		{"context-banner", constants.NeedPatientBanner != nil},
		{"context-style", constants.SmartStyleURL != ""},
		{"context-standalone-patient", true}, // of users who are patients
		{"permission-offline", asks(is("offline_access"))},
		{"permission-online", asks(is("online_access"))},
		{"permission-patient", asks(in("patient"))},
		{"permission-user", asks(in("user"))},
		{"permission-v1", true},
		{"permission-v2", true},
	} {
		if c.is {
			all = append(all, c.name)
		}
	}
	return all
}
