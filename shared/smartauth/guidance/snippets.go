package guidance

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"fhirlink/shared/smart"
)

// Snippets are what to set at the FHIR server, for each kind of server.
type Snippets struct {
	Firely     Snippet `json:"firely"`
	FHIRServer Snippet `json:"fhirServer"`
	AHDS       Snippet `json:"ahds"`
}

// Snippet is a part of a FHIR server's own settings.
type Snippet struct {
	Settings tree     `json:"settings"` // in the server's own words
	Note     string   `json:"note"`     // where that was read
	Needs    []string `json:"needs"`    // what else is to be done
}

type tree = map[string]any

// Of returns what to set at the FHIR server of a link.
func Of(l Link) Snippets {
	return Snippets{Firely: l.firely(), FHIRServer: l.fhirServer(), AHDS: l.ahds()}
}

func (l Link) firely() Snippet {
	options := tree{"Enabled": true, "Authority": l.Issuer, "RequireHttpsToProvider": strings.HasPrefix(l.Issuer, "https://")}
	needs := append(l.kind(Firely, "Firely Server"),
		"The plugin Vonk.Plugin.Smart must be in PipelineOptions.",
		"SmartCapabilities is what Firely Server announces to apps. Add PermissionV2, and for backend services ClientConfidentialAsymmetric: it comes without them.",
	)
	if l.Tokens != Entra {
		options["Audience"], options["PatientFilter"] = l.TokenAudience, "_id=#patient#"
		return Snippet{
			Settings: tree{"SmartAuthorizationOptions": options}, Note: "Read in Firely Server's documentation, and not run. Try it on a test server first.",
			Needs: append(needs, "Leave AccessTokenScopeReplace out: these tokens have scopes as SMART spells them.", "Users need no role in Entra."),
		}
	}
	seen := l.seen()
	options["Audience"], options["AdditionalIssuersInToken"] = seen.audience, l.issuers()
	if smart.Dialect(l.Dialect) == smart.Firely && l.Separator != "" {
		options["AccessTokenScopeReplace"] = l.Separator
	}
	needs = append(needs, seen.version)
	if !l.publicCloud() {
		needs = append(needs, fmt.Sprintf("Which issuer (iss) access tokens of version 1.0 have at %s was not established: if yours are of that version, add their iss to AdditionalIssuersInToken.", l.Authority))
	}
	return Snippet{
		Settings: tree{"SmartAuthorizationOptions": options}, Note: "Read in Firely Server's documentation, and not run. Whether it reads scopes in scp, where Entra puts them, was not established. Try it on a test server first.",
		Needs: needs,
	}
}

func (l Link) fhirServer() Snippet {
	authentication, authorization := tree{"Authority": l.Issuer, "Audience": l.TokenAudience}, tree{"Enabled": true, "ScopesClaim": []string{"scope"}}
	server := tree{"Security": tree{
		"Enabled": true, "EnableAadSmartOnFhirProxy": false, "Authentication": authentication, "Authorization": authorization,
	}}
	needs := append(l.kind(FHIRServer, "Microsoft's FHIR server"),
		"EnableAadSmartOnFhirProxy must be false: it comes as true, and then the server announces its own old proxy to apps.",
		"The FHIR resource of a user must be a Patient or a Practitioner: this server refuses fhirUser of other types.",
		"In environment variables, write FhirServer__Security__Authentication__Authority and so on, and for lists FhirServer__Security__Authorization__ScopesClaim__0.",
	)
	switch {
	case l.Tokens == Entra:
		seen := l.seen()
		authentication["Authority"], authentication["Audience"], authorization["ScopesClaim"] = seen.authority, seen.audience, []string{"scp", "roles"}
		server["SmartIdentityProvider"] = tree{"Authority": l.Issuer, "Revocation": l.Issuer + "/revoke"}
		needs = append(needs, seen.version+" Authority is then "+seen.otherAuthority+".",
			"Define the app role smartUser at the API's registration in Entra, and assign it to every user of the apps and to the registrations of backend services. Without a role the server refuses the request. With another of its roles it ignores the scopes.",
			"Add the claim fhirUser to the access tokens: it is set at the API's registration, not at the app's.")
	case l.hasRole():
		needs = append(needs, "Users need no role in Entra: the tokens have the role smartUser.")
	default:
		needs = append(needs, "accessTokenRoles of the link must have smartUser. Without a role the server refuses the request. With another of its roles it ignores the scopes.")
	}
	return Snippet{Settings: tree{"FhirServer": server}, Note: "Read in the server's source code and documentation, and not run. Try it on a test server first.", Needs: needs}
}

func (l Link) ahds() Snippet {
	provider := tree{"authority": l.Issuer, "applications": []tree{{
		"clientId": l.ServerClientID, "audience": l.TokenAudience, "allowedDataActions": []string{"Read"},
	}}}
	needs := append(l.kind(AHDS, "Azure Health Data Services"),
		"Keep authority and audience of authenticationConfiguration as they are. There can be two smartIdentityProviders.",
		"Whether the service then announces the issuer to apps was not established. If {FHIR base}/.well-known/smart-configuration does not name its endpoints, let a gateway serve "+l.Issuer+"/.well-known/smart-configuration there, and add the gateway's URL to fhirBaseUrls.",
	)
	if l.Tokens == Entra {
		needs = append(needs,
			"The users of the apps need the role FHIR SMART User at the FHIR service.",
			"fhirUser in the access token needs a registration of your own for the FHIR service as a resource in Entra. Its audience then becomes the service's and the link's: verify the link again.")
	} else {
		needs = append(needs,
			"The users of the apps must not have the role FHIR SMART User.",
			"Apps can only read, with SMART v1 scopes (patient/*.read) by the documentation, and every token needs fhirUser: there are no backend services.")
	}
	return Snippet{
		Settings: tree{"authenticationConfiguration": tree{"smartIdentityProviders": []tree{provider}}},
		Note:     "Read in the service's documentation and in the source code of Microsoft's FHIR server, and not run. Try it on a test service first.", Needs: needs,
	}
}

// kind tells to set first what tokens and scopes for a kind of server depend on.
func (l Link) kind(want Server, name string) (needs []string) {
	if l.Server != want {
		needs = append(needs, fmt.Sprintf("If the link's FHIR server is %s, first set server to %s in the SMART settings: tokens and scopes are then made for it.", name, want))
	}
	if l.Server = want; l.Tokens == Entra && !l.spelled() {
		needs = append(needs, misspelled.text)
	}
	return needs
}

// seen is what a FHIR server sees of Entra.
type seen struct {
	authority, audience string
	otherAuthority      string // for the other version of access tokens
	version             string // which version this is for, in a sentence
}

// seen decides by the link's audience, because the other version's can only be looked up: access tokens of
// version 2.0 have the API's client id as aud, those of version 1.0 its URI.
func (l Link) seen() seen {
	v1, v2 := l.Authority+l.TenantID, l.Authority+l.TenantID+"/v2.0"
	id := strings.TrimPrefix(l.EntraAudience, "api://")
	if len(id) == 36 && uuid.Validate(id) == nil {
		return seen{v2, id, v1, "Audience is for access tokens of version 2.0 (requestedAccessTokenVersion 2 in the manifest of the API's registration). For version 1.0, set it to the URI of the API."}
	}
	return seen{v1, l.EntraAudience, v2, "Audience is for access tokens of version 1.0. For version 2.0 (requestedAccessTokenVersion 2 in the manifest of the API's registration), set it to the client id of the API."}
}

// issuers are what Entra writes into iss, for both versions of access tokens.
func (l Link) issuers() []string {
	known := []string{l.Authority + l.TenantID + "/v2.0"}
	if l.publicCloud() {
		known = append(known, "https://sts.windows.net/"+l.TenantID+"/")
	}
	return known
}

func (l Link) publicCloud() bool { return l.Authority == PublicCloud }

// PublicCloud is the authority of Entra but for national clouds.
const PublicCloud = "https://login.microsoftonline.com/"
