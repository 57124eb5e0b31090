package smartauth

import (
	"slices"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/smartauth/redirect"
)

// AppType says how an app proves who it is.
type AppType string

// The types of apps.
const (
	Public     AppType = "public"     // it cannot keep a secret
	Symmetric  AppType = "symmetric"  // by a client secret
	Asymmetric AppType = "asymmetric" // by a key whose public half is known
)

// GrantType is a way in which an app gets tokens first (RFC 6749 §1.3).
type GrantType string

// The grant types that an app may have.
const (
	AuthorizationCode GrantType = "authorization_code" // a user signs in
	ClientCredentials GrantType = "client_credentials" // nobody does: a backend service
)

// maxApps is how many apps a link may have.
const maxApps = 100

// App is an app that users of a link's FHIR server may use.
type App struct {
	ID     string // random, one for each time it was made
	LinkID string
	Tag    string // random, changes with every write

	ClientID     string // chosen by the organization; never changed
	Name         string
	Type         AppType
	RedirectURIs []string
	LaunchURI    string      `json:",omitzero"`
	Scopes       []string    // the most that it may be granted
	Grants       []GrantType `json:",omitempty"` // none: AuthorizationCode

	PKCEOptional             bool        `json:",omitzero"`
	AuthorizationResponseIss bool        `json:",omitzero"` // RFC 9207
	Disabled                 bool        `json:",omitzero"`
	Secrets                  []AppSecret `json:",omitempty"` // newest first

	// Of an asymmetric app, exactly one of these.
	JWKSURI string   `json:",omitzero"` // where it publishes its keys
	JWKS    jwks.Set `json:",omitzero"`

	// EntraClientID is the app's own application in the link's tenant; empty: it has none.
	EntraClientID string       `json:",omitzero"`
	Registration  Registration `json:"-"` // of that, as it is now, where the Service says so

	CreatedAt, UpdatedAt time.Time
}

// Registration is what is known of an app's own registration in Entra.
type Registration struct {
	Row link.Link // see package link/application; the zero Link: none is kept
	At  time.Time // when it was read; zero: it was not
}

// AppSecret is what is kept of a client secret.
type AppSecret struct {
	Hash  string    // SHA-256 of the secret, base64url
	Until time.Time `json:",omitzero"` // zero, for the newest only: it has no end
}

// ETag is the entity tag of the app, with its quotes.
func (a App) ETag() string { return `"` + a.Tag + `"` }

// GrantTypes are the ways in which the app may get tokens.
func (a App) GrantTypes() []GrantType {
	if len(a.Grants) == 0 {
		return []GrantType{AuthorizationCode}
	}
	return a.Grants
}

// May reports whether the app may get tokens in a way.
func (a App) May(grant GrantType) bool { return slices.Contains(a.GrantTypes(), grant) }

// backend reports whether the app is a backend service.
func (a App) backend() bool { return a.May(ClientCredentials) }

// Redirects reports whether the app may be answered at an address.
func (a App) Redirects(uri string) bool { return redirect.Match(a.RedirectURIs, uri) }

// Authenticates reports whether a client secret is the app's at a time.
func (a App) Authenticates(clientSecret secret.Value, now time.Time) bool {
	found := false
	for _, one := range a.Secrets {
		same := secret.New(one.Hash).Equal(secret.New(hashOf(clientSecret)))
		found = found || same && (one.Until.IsZero() || now.Before(one.Until))
	}
	return found && a.Type == Symmetric
}

// withSecret returns the app with a new client secret. The one before stays valid until a time.
func (a App) withSecret(clientSecret secret.Value, until, now time.Time) App {
	kept := []AppSecret{{Hash: hashOf(clientSecret)}}
	for _, one := range a.Secrets {
		if one.Until.IsZero() || until.Before(one.Until) {
			one.Until = until
		}
		if now.Before(one.Until) && one.Hash != kept[0].Hash && len(kept) < maxSecrets {
			kept = append(kept, one)
		}
	}
	a.Secrets = kept
	return a
}

// maxSecrets bounds how many client secrets of an app are valid at the same time.
const maxSecrets = 4
