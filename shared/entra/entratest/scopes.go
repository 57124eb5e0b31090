package entratest

import (
	"fmt"
	"slices"
	"strings"

	"fhirlink/shared/entra"
)

// Graph is the application id of Microsoft Graph, the resource of scopes without one.
const Graph = "00000003-0000-0000-c000-000000000000"

const (
	allConsented  = ".default" // stands for all scopes of the resource that there is consent for
	offlineAccess = "offline_access"
)

// oidc lists the scopes of OpenID Connect. They belong to Graph.
var oidc = []string{"openid", "profile", "email", offlineAccess}

// Scopes are the scopes of a request.
type Scopes struct {
	OIDC     []string // openid, profile, email, offline_access
	Resource string   // of Names; Graph if there are none
	Names    []string `json:",omitempty"` // without the resource
}

// Default reports whether all scopes are meant that there is consent for.
func (s Scopes) Default() bool { return slices.Contains(s.Names, allConsented) }

// Mistake is an error of the authorization endpoint.
type Mistake struct {
	OAuth  string
	Number int
	Text   string
}

// ReadScopes reads the member scope of a request at a tenant, and returns nil or what Entra finds wrong
// with it:
//
//   - A scope that the resource does not define, Graph for scopes without one: AADSTS650053, with
//     error=invalid_client (so in public reports).
//   - A slash behind the resource, or .default beside others: AADSTS70011.
//   - Scopes of two resources: AADSTS28000. Entra has that from the token endpoint too, which is where
//     public reports have it from; its OAuth error is from memory.
//   - A resource that the tenant does not have: AADSTS500011.
func (a *Authority) ReadScopes(tenantID, clientID, scope string) (Scopes, *Mistake) {
	t, _ := a.tenant(tenantID) // one without scopes, if it does not exist
	s := Scopes{Resource: Graph}
	for _, one := range strings.Fields(scope) {
		if slices.Contains(oidc, one) {
			s.OIDC = appendNew(s.OIDC, one)
			continue
		}
		resource, name, known := cutResource(t, one)
		switch {
		case !known && (strings.Contains(one, "://") || entra.IsGUID(resource)):
			return Scopes{}, &Mistake{"invalid_resource", 500011, fmt.Sprintf("The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", resource, t.Name)}
		case !known || name == "" || strings.Contains(name, "/"):
			return Scopes{}, &Mistake{"invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid. The scope '" + scope + "' is not valid."}
		case len(s.Names) > 0 && resource != s.Resource:
			return Scopes{}, &Mistake{"invalid_scope", 28000, "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope " + scope + " is not valid."}
		}
		s.Resource, s.Names = resource, appendNew(s.Names, name)
	}
	if s.Default() && len(s.Names) > 1 {
		return Scopes{}, &Mistake{"invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid. The scope '" + scope + "' is not valid. .default scope can't be combined with resource-specific scopes."}
	}
	for _, name := range s.Names {
		if name != allConsented && !defines(t, s.Resource, name) {
			return Scopes{}, &Mistake{"invalid_client", 650053, "The application '" + clientID + "' asked for scope '" + name + "' that doesn't exist on the resource '" + s.Resource + "'. Contact the app vendor."}
		}
	}
	return s, nil
}

// cutResource splits a scope behind the shortest resource that the tenant knows. An application id URI
// may end with a slash, which then comes twice. Of a resource that is not known, it returns what stands
// before the last slash.
func cutResource(t Tenant, scope string) (resource, name string, known bool) {
	if !strings.Contains(scope, "/") {
		return Graph, scope, true
	}
	for i := range scope {
		if scope[i] != '/' || !isResource(t, scope[:i]) {
			continue
		}
		resource, name = scope[:i], scope[i+1:]
		switch rest, twice := strings.CutPrefix(name, "/"); {
		case resource == "https://graph.microsoft.com":
			resource = Graph
		case twice && isResource(t, resource+"/"):
			return resource + "/", rest, true
		}
		return resource, name, true
	}
	return scope[:strings.LastIndex(scope, "/")], "", false
}

func isResource(t Tenant, text string) bool {
	return text == Graph || text == "https://graph.microsoft.com" || knows(t, text)
}

// defines reports whether a resource has a scope. Of Graph's only one is known here.
func defines(t Tenant, resource, name string) bool {
	if resource == Graph {
		return name == "User.Read"
	}
	return t.Defines == nil || t.Defines(resource, name)
}

func appendNew(all []string, one string) []string {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}
