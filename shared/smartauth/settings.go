package smartauth

import (
	"time"

	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
)

// Tokens says whose access tokens the apps of a link get.
type Tokens string

// Whose access tokens there are.
const (
	Own     Tokens = "fhirlink" // signed by this deployment: they hold exactly what was granted
	OfEntra Tokens = "entra"    // Entra's, as they are
)

// ServerKind is the kind of a FHIR server, as far as it judges access tokens in its own way.
type ServerKind string

// The kinds of servers.
const (
	Firely     ServerKind = "firely"
	FHIRServer ServerKind = "fhirServer" // Microsoft's open-source FHIR server
	AHDS       ServerKind = "ahds"       // Azure Health Data Services
	Other      ServerKind = "other"
)

// Compartment says which claim of an access token names the patient.
type Compartment string

// The claims that name the patient.
const (
	ByClaim    Compartment = "claim"    // patient
	ByFHIRUser Compartment = "fhirUser" // fhirUser, besides patient
)

// AudienceOf says which address of the link the access tokens are for.
type AudienceOf string

// The addresses that access tokens can be for.
const (
	ServerURL    AudienceOf = ""         // the FHIR server's URL
	LinkAudience AudienceOf = "audience" // the link's audience
)

// Bounds and defaults of settings (contract-smart.md §2).
const (
	minTokenSeconds, maxTokenSeconds = 300, 3600
	maxRefreshDays                   = 90
	defaultUserClaim                 = "fhirUser"
	maxBaseURLs                      = 8
	maxTokenRoles                    = 5
)

// MaxScopes is how many scopes an app may have, or ask for.
const MaxScopes = 200

// Settings is what an organization has set for a link. Empty parts take the defaults that depend on the
// link: see For.
type Settings struct {
	ID     string // random, one for each time it was switched on: what an earlier time has granted is dead
	LinkID string // of the link: a slug that is registered again begins without settings
	Tag    string // random, changes with every write

	Tokens           Tokens
	Server           ServerKind  `json:",omitzero"`
	ServerClientID   string      `json:",omitzero"` // azp of our tokens
	AudienceOf       AudienceOf  `json:",omitzero"`
	AccessTokenRoles *[]string   `json:",omitzero"` // nil: those of the kind of server
	Compartment      Compartment `json:",omitzero"`
	Spelling         Spelling    `json:",omitzero"`  // with OfEntra only
	FHIRBaseURLs     []string    `json:",omitempty"` // under which apps know the server, besides its own
	UserClaim        string      // of Entra's id token: the user's FHIR reference
	TokenSeconds     int
	RefreshDays      int
	Context          Context   `json:",omitzero"`
	ScopesSupported  *[]string `json:",omitzero"` // nil: what the apps may ask for
	Diagnostics      bool      `json:",omitzero"`

	CreatedAt, UpdatedAt time.Time
}

// Context are constants of the token answer, for launches that do not bring their own.
type Context struct {
	Tenant            string `json:"tenant,omitempty"`
	SmartStyleURL     string `json:"smartStyleUrl,omitempty"`
	NeedPatientBanner *bool  `json:"needPatientBanner,omitempty"`
}

// ETag is the entity tag of the settings, with its quotes.
func (s Settings) ETag() string { return `"` + s.Tag + `"` }

// For returns the settings with every default filled in that depends on the link.
func (s Settings) For(l link.Link) Settings {
	if s.Server == "" {
		s.Server = Other
		if base, ok := fhir.StoredBaseURL(l.FHIRServerURL); ok && base.Kind().Microsoft() {
			s.Server = AHDS
		}
	}
	if s.ServerClientID == "" {
		s.ServerClientID = l.ClientID
	}
	if s.AccessTokenRoles == nil {
		roles := []string{}
		if s.Server == FHIRServer {
			roles = []string{"smartUser"}
		}
		s.AccessTokenRoles = &roles
	}
	if s.Compartment == "" {
		s.Compartment = ByClaim
		if s.Server == FHIRServer || s.Server == AHDS {
			s.Compartment = ByFHIRUser
		}
	}
	return s
}

// Audience is what access tokens of the link are for: never anything but its FHIR server.
func (s Settings) Audience(l link.Link) string {
	if s.AudienceOf == LinkAudience {
		return l.Audience
	}
	return l.FHIRServerURL
}
