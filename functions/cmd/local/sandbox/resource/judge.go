package resource

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
)

// Refusal is why a server refuses every request with a token.
type Refusal struct {
	Status int
	Text   string
}

// Access is what a token lets an app do.
type Access struct {
	scopes       []smart.Scope
	compartments map[string]string // by the context of a scope: the resource whose compartment it is confined to
	readOnly     bool
}

// Interaction is what an app does, as a letter of SMART's permissions.
type Interaction string

// The interactions.
const (
	Create Interaction = "c"
	Read   Interaction = "r"
	Update Interaction = "u"
	Delete Interaction = "d"
	Search Interaction = "s"
)

// smartUser is the role without which Microsoft's open-source server reads no scopes.
const smartUser = "smartUser"

// Judge decides about a token as a kind of server does, from its claims:
//
//   - Firely reads scope, and takes the patient of patient/ scopes from the claim patient. Without that it
//     rejects them. Other servers are taken to do the same.
//   - Microsoft's open-source server reads scopes of users with the role smartUser only. It wants fhirUser
//     (not for system/), which names the compartment, and refuses scopes of several contexts or of
//     both versions of SMART with 400.
//   - Azure Health Data Services does the same for another authorization server's tokens, without the role
//     and for reading only. It wants fhirUser always, so that system/ never works.
func Judge(kind smartauth.ServerKind, c Claims) (Access, *Refusal) {
	if kind == smartauth.FHIRServer || kind == smartauth.AHDS {
		return judgeMicrosoft(kind, c)
	}
	if c.Scope == "" {
		return Access{}, &Refusal{http.StatusForbidden, "The access token has no claim scope."}
	}
	a := Access{scopes: scopesOf(c.Scope), compartments: map[string]string{}}
	if a.has("patient") {
		if c.Patient == "" {
			return Access{}, &Refusal{http.StatusForbidden, "The access token has patient/ scopes, and no claim patient."}
		}
		a.compartments["patient"] = "Patient/" + c.Patient
	}
	return a, nil
}

func judgeMicrosoft(kind smartauth.ServerKind, c Claims) (Access, *Refusal) {
	if kind == smartauth.FHIRServer && !slices.Contains(c.Roles, smartUser) {
		return Access{}, &Refusal{http.StatusForbidden, "Authorization failed: the access token has no role smartUser."}
	}
	decoded, err := url.PathUnescape(c.Scope) // before it is split, as they do
	if err != nil {
		decoded = c.Scope
	}
	a := Access{scopes: scopesOf(decoded), compartments: map[string]string{}, readOnly: kind == smartauth.AHDS}
	contexts, versions := map[string]bool{}, map[smart.Version]bool{}
	for _, s := range a.scopes {
		contexts[s.Context], versions[s.Version()] = true, true
	}
	user := userOf(c.FHIRUser)
	switch {
	case user == "" && (kind == smartauth.AHDS || !contexts["system"]):
		return Access{}, &Refusal{http.StatusBadRequest, "The fhirUser claim is missing from the token."}
	case len(contexts) > 1:
		return Access{}, &Refusal{http.StatusBadRequest, "Scopes of patient, user and system cannot be mixed in one token."}
	case len(versions) > 1:
		return Access{}, &Refusal{http.StatusBadRequest, "Scopes of SMART version 1 and version 2 cannot be mixed in one token."}
	}
	a.compartments["patient"] = user
	if strings.HasPrefix(user, "Patient/") {
		a.compartments["user"] = user
	}
	return a, nil
}

// scopesOf are the scopes of a claim that are for resources and well-formed.
func scopesOf(claim string) (scopes []smart.Scope) {
	for _, one := range smart.Split(claim) {
		if s := smart.Parse(one); s.Kind == smart.Resource && s.WellFormed() {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// userOf returns the end of a fhirUser, Type/id.
func userOf(claim string) string {
	parts := strings.Split(claim, "/")
	if len(parts) < 2 {
		return ""
	}
	return strings.Join(parts[len(parts)-2:], "/")
}

func (a Access) has(context string) bool {
	return slices.ContainsFunc(a.scopes, func(s smart.Scope) bool { return s.Context == context })
}

// May reports whether a scope allows an interaction with some resources of a type.
func (a Access) May(do Interaction, kind string) bool {
	if a.readOnly && do != Read && do != Search {
		return false
	}
	return slices.ContainsFunc(a.scopes, func(s smart.Scope) bool { return allows(s, do, kind) })
}

// Reaches reports whether a scope allows an interaction with this very resource.
func (a Access) Reaches(do Interaction, r Resource) bool {
	return a.May(do, r.Type) && slices.ContainsFunc(a.scopes, func(s smart.Scope) bool {
		if !allows(s, do, r.Type) {
			return false
		}
		for p := range s.Parameters() {
			if !r.Matches(p.Name, p.Value) {
				return false
			}
		}
		of, confined := a.compartments[s.Context]
		return !confined || r.In(of)
	})
}

// allows compares context, type and permissions. What a scope's query says is about single resources.
func allows(s smart.Scope, do Interaction, kind string) bool {
	head, _, _ := strings.Cut(s.String(), "?")
	return smart.Covers(smart.Parse(head), smart.Parse(s.Context+"/"+kind+"."+string(do)))
}
