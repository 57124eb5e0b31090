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

// Setup is a FHIR server as its operator has set it up for a link (contract-smart.md §9).
type Setup struct {
	Kind      smartauth.ServerKind
	Tokens    smartauth.Tokens // whose it takes
	Separator string           // of Firely's AccessTokenScopeReplace: stands for "/"; empty: nothing does
}

// Judge decides about a token as a server does, from its claims. What is said of a server was read in its
// source or documentation, and not tried with a live one.
//
//   - Firely reads scope, and takes the patient of patient/ scopes from the claim patient. Without that it
//     rejects them. Entra's own tokens have neither: their scopes are in scp. It was not established whether
//     Firely reads that too, so that user/ scopes would work; this one does not, and says so. patient/ scopes
//     are rejected either way, for want of patient. Other servers are taken to do the same.
//   - Microsoft's open-source server reads scopes of users with the role smartUser only. It wants fhirUser
//     (not for system/), which names the compartment, whatever patient says, and refuses scopes of several
//     contexts or of both versions of SMART with 400. Of Entra's tokens it is set up to read scp and roles.
//   - Azure Health Data Services does the same without the role, and wants fhirUser always, so that system/
//     never works. Another authorization server's tokens are for reading only. To Entra's, a role assignment in
//     Azure lets it apply scopes, "FHIR SMART User", which no token shows: all users here have it.
func Judge(s Setup, c Claims) (Access, *Refusal) {
	if s.Kind == smartauth.FHIRServer || s.Kind == smartauth.AHDS {
		return s.judgeMicrosoft(c)
	}
	if c.Scope == "" {
		return Access{}, s.withoutScope(c)
	}
	a := Access{scopes: scopesOf(smart.Split(c.Scope)), compartments: map[string]string{}}
	if a.has("patient") {
		if c.Patient == "" {
			return Access{}, noPatient
		}
		a.compartments["patient"] = "Patient/" + c.Patient
	}
	return a, nil
}

var noPatient = &Refusal{http.StatusForbidden, "The access token has patient/ scopes, and no claim patient."}

// withoutScope says why Firely Server does not take a token without the claim scope.
func (s Setup) withoutScope(c Claims) *Refusal {
	inSCP := smart.Split(c.SCP)
	for i, one := range inSCP {
		if s.Separator != "" {
			inSCP[i] = strings.ReplaceAll(one, s.Separator, "/")
		}
	}
	a := Access{scopes: scopesOf(inSCP)}
	switch {
	case a.has("patient") && c.Patient == "":
		return noPatient
	case c.SCP != "":
		return &Refusal{http.StatusForbidden, "The access token has no claim scope. Its scopes are in scp: whether Firely Server reads that is not established, and this one does not."}
	}
	return &Refusal{http.StatusForbidden, "The access token has no claim scope."}
}

func (s Setup) judgeMicrosoft(c Claims) (Access, *Refusal) {
	if s.Kind == smartauth.FHIRServer && !slices.Contains(c.Roles, smartUser) {
		return Access{}, &Refusal{http.StatusForbidden, "Authorization failed: the access token has no role smartUser."}
	}
	text := c.Scope
	if s.Tokens == smartauth.OfEntra {
		text = strings.Join(append([]string{c.SCP}, c.Roles...), " ")
	}
	decoded, err := url.PathUnescape(text) // before it is split, as they do
	if err != nil {
		decoded = text
	}
	values := smart.Split(decoded)
	for i, one := range values {
		values[i] = readMicrosoft(one)
	}
	a := Access{scopes: scopesOf(values), compartments: map[string]string{}, readOnly: s.Kind == smartauth.AHDS && s.Tokens != smartauth.OfEntra}
	contexts, versions := map[string]bool{}, map[smart.Version]bool{}
	for _, s := range a.scopes {
		contexts[s.Context], versions[s.Version()] = true, true
	}
	user := userOf(c.FHIRUser)
	switch {
	case user == "" && (s.Kind == smartauth.AHDS || !contexts["system"]):
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

// readMicrosoft returns a scope in SMART's spelling as Microsoft's servers read it: behind the context there
// may be "." or "$" for "/", and all is a word for "*".
func readMicrosoft(value string) string {
	head, query, granular := strings.Cut(value, "?")
	at := strings.IndexAny(head, "/.$")
	if at < 0 || !slices.Contains([]string{"patient", "user", "system"}, head[:at]) {
		return value
	}
	kind, permissions, _ := strings.Cut(head[at+1:], ".")
	star := func(word string) string {
		if word == "all" {
			return "*"
		}
		return word
	}
	scope := head[:at] + "/" + star(kind) + "." + star(permissions)
	if granular {
		scope += "?" + query
	}
	return scope
}

// scopesOf are those of a list that are for resources and well-formed.
func scopesOf(list []string) (scopes []smart.Scope) {
	for _, one := range list {
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
