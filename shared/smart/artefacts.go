package smart

import (
	"fmt"
	"strings"
)

// AppRole is an entry of an Entra application's appRoles (Microsoft Graph, appRole). Entra puts
// it into the claim "roles" when an application acts for itself.
type AppRole struct {
	AllowedMemberTypes []string `json:"allowedMemberTypes"`
	Description        string   `json:"description"`
	DisplayName        string   `json:"displayName"`
	ID                 string   `json:"id"`
	IsEnabled          bool     `json:"isEnabled"`
	Value              string   `json:"value"`
}

// PermissionScope is an entry of an Entra application's api.oauth2PermissionScopes (Microsoft
// Graph, permissionScope). Entra puts it into the claim "scp" when an app acts for a user.
type PermissionScope struct {
	AdminConsentDescription string `json:"adminConsentDescription"`
	AdminConsentDisplayName string `json:"adminConsentDisplayName"`
	ID                      string `json:"id"`
	IsEnabled               bool   `json:"isEnabled"`
	Type                    string `json:"type"` // who may consent: User or Admin
	UserConsentDescription  string `json:"userConsentDescription"`
	UserConsentDisplayName  string `json:"userConsentDisplayName"`
	Value                   string `json:"value"`
}

// Skipped is a scope that cannot be registered, with the reason.
type Skipped struct {
	Scope string `json:"scope"`
	Advice
}

// Artefacts lists what to register in Entra, and to set in Firely Server, for a list of scopes.
type Artefacts struct {
	AppRoles               []AppRole         `json:"appRoles"`
	OAuth2PermissionScopes []PermissionScope `json:"oauth2PermissionScopes"`
	Skipped                []Skipped         `json:"skipped"`
	Graph                  GraphRequest      `json:"graph"`
	Az                     []string          `json:"az"`
	FirelyServer           *FirelyServer     `json:"firelyServer,omitempty"`
	Notes                  []string          `json:"notes"`
}

// GraphRequest is the Microsoft Graph request that registers both collections.
type GraphRequest struct {
	Method string    `json:"method"`
	URL    string    `json:"url"`
	Body   GraphBody `json:"body"`
}

// GraphBody is the part of a Graph application that holds its permissions.
type GraphBody struct {
	AppRoles []AppRole `json:"appRoles"`
	API      struct {
		OAuth2PermissionScopes []PermissionScope `json:"oauth2PermissionScopes"`
	} `json:"api"`
}

// FirelyServer is the part of Firely Server's settings that reads the scopes.
type FirelyServer struct {
	SmartAuthorizationOptions struct {
		AccessTokenScopeReplace string `json:"AccessTokenScopeReplace"`
	} `json:"SmartAuthorizationOptions"`
}

const applicationURL = "https://graph.microsoft.com/v1.0/applications(appId='{applicationId}')"

// Artefacts returns the permissions for translated scopes: system/ scopes become app roles, all
// others delegated permissions. No value is ever in both, because the two share one namespace in
// Entra. An id depends on kind, resource and value only, and never changes.
func (t *Translator) Artefacts(results Results) Artefacts {
	a := Artefacts{
		AppRoles: []AppRole{}, OAuth2PermissionScopes: []PermissionScope{}, Skipped: []Skipped{},
		Az: []string{
			"jq .artefacts.graph.body answer.json > permissions.json",
			`az rest --method PATCH --url "` + applicationURL + `" --headers Content-Type=application/json --body @permissions.json`,
		},
		FirelyServer: t.firelyServer(),
		Notes: []string{
			"Replace {applicationId} by the client id of the application that stands for the FHIR server, and save this answer as answer.json for the az commands.",
			"PATCH replaces both collections: add the permissions that the application has already, by GET of the same URL. Entra removes a permission only after it was disabled (isEnabled false).",
		},
	}
	for _, r := range results {
		if why := unregistered(r); why != nil {
			a.Skipped = append(a.Skipped, Skipped{r.parsed.String(), *why})
			continue
		}
		if r.parsed.Context == "system" {
			a.AppRoles = append(a.AppRoles, t.appRole(r))
		} else {
			a.OAuth2PermissionScopes = append(a.OAuth2PermissionScopes, t.permissionScope(r))
		}
	}
	a.Graph = GraphRequest{Method: "PATCH", URL: applicationURL, Body: GraphBody{AppRoles: a.AppRoles}}
	a.Graph.Body.API.OAuth2PermissionScopes = a.OAuth2PermissionScopes
	return a
}

func unregistered(r Result) *Advice {
	switch {
	case r.Error != nil:
		return (*Advice)(r.Error)
	case r.pair.own:
		return &Advice{"built_in", "Entra serves it itself: there is nothing to register.", "Ask for it as it is."}
	case !r.Entra.Registrable:
		return &Advice{r.Entra.Reasons[0], "Entra will not register its value.", "Follow the warnings of its result."}
	}
	return nil
}

func (t *Translator) appRole(r Result) AppRole {
	return AppRole{
		AllowedMemberTypes: []string{"Application"}, Description: describe(r.parsed), DisplayName: title(r.parsed),
		ID: permissionID("appRole", t.resource, r.pair.value), IsEnabled: true, Value: r.pair.value,
	}
}

// permissionScope lets users consent for themselves, except to user/ scopes: these reach other
// people's records, so an administrator must consent.
func (t *Translator) permissionScope(r Result) PermissionScope {
	who := "User"
	if r.parsed.Context == "user" {
		who = "Admin"
	}
	return PermissionScope{
		AdminConsentDescription: describe(r.parsed), AdminConsentDisplayName: title(r.parsed),
		ID: permissionID("oauth2PermissionScope", t.resource, r.pair.value), IsEnabled: true, Type: who,
		UserConsentDescription: describe(r.parsed), UserConsentDisplayName: title(r.parsed), Value: r.pair.value,
	}
}

func (t *Translator) firelyServer() *FirelyServer {
	f := new(FirelyServer)
	switch t.dialect {
	case Firely:
		f.SmartAuthorizationOptions.AccessTokenScopeReplace = string(rune(t.separator))
	case AADProxy:
		f.SmartAuthorizationOptions.AccessTokenScopeReplace = "-"
	default:
		return nil
	}
	return f
}

// title returns the scope, shortened to the 100 characters that a display name may have.
func title(s Scope) string {
	const most = 100
	if len(s.text) <= most {
		return s.text
	}
	return s.text[:most-3] + "..."
}

// describe says in words what a scope permits.
func describe(s Scope) string {
	switch s.Kind {
	case Launch:
		return "Learn the launch context: SMART scope " + s.text
	case Resource:
		what := s.Type + " resources"
		if s.Type == "*" {
			what = "all resources"
		}
		if s.granular {
			what += " that match " + s.Query
		}
		return fmt.Sprintf("%s %s %s: SMART scope %s", actions(s), what, reach(s.Context), s.text)
	}
	return "Scope " + s.text
}

func reach(context string) string {
	switch context {
	case "patient":
		return "of one patient"
	case "user":
		return "that the user may access"
	}
	return "that the application may access"
}

func actions(s Scope) string {
	words := map[string]string{"read": "Read and search", "write": "Create, update and delete", "*": "Do everything with"}
	if s.Version() != V2 {
		if w, ok := words[s.Permissions]; ok {
			return w
		}
		return "Use"
	}
	letters := map[byte]string{'c': "create", 'r': "read", 'u': "update", 'd': "delete", 's': "search"}
	all := make([]string, len(s.Permissions))
	for i := range len(s.Permissions) {
		all[i] = letters[s.Permissions[i]]
	}
	sentence := strings.Join(all, ", ")
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}
