package launch

import (
	"slices"
	"strings"

	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/ehr"
)

// Launched is the context that a grant has.
type Launched = ehr.Context

// User is who has signed in at Entra.
type User struct {
	secret.Hidden

	ObjectID string
	Name     string
	Username string // preferred_username
	Email    string
	FHIRUser string // the user's resource, as Type/id; empty: Entra names none
}

// kind is the type of the user's resource.
func (u User) kind() string {
	kind, _, _ := strings.Cut(u.FHIRUser, "/")
	return kind
}

// contextOf is the context of a user who has signed in: what the EHR has opened the app for, and a patient's own
// record where that names none.
func contextOf(u User, l ehr.Launch) Launched {
	c := l.Context
	if u.kind() == "Patient" && c.Patient == "" {
		c.Patient = strings.TrimPrefix(u.FHIRUser, "Patient/")
	}
	return c
}

// grantedOf is what is given of the scopes that were asked for and that the app may have, in their order and spelling.
// denied reports that nothing is given, or that scopes for data were asked for, and that none of them can be given.
//
// A patient gets patient/ scopes for their own record; other users get user/ scopes, and patient/ scopes
// where the context names a patient. Who has no resource gets no scope for resources.
//
// Of Entra's tokens the FHIR server decides by what it knows of the user: only patient/ scopes need a patient.
func (s server) grantedOf(asked []string, u User, c Launched, refresh bool) (scopes []string, denied bool) {
	for _, one := range asked {
		parsed := smart.Parse(one)
		may := true // openid, profile, email, and what the FHIR server alone knows
		switch {
		case parsed.Kind == smart.Resource && s.ofEntra():
			may = parsed.Context == "user" || parsed.Context == "patient" && c.Patient != ""
		case parsed.Kind == smart.Resource:
			may = mayHave(parsed.Context, u, c)
		case one == "fhirUser":
			may = u.FHIRUser != "" && slices.Contains(asked, "openid")
		case one == "offline_access", one == "online_access":
			may = refresh
		case one == "launch": // there was one: else it was cut
		case parsed.Kind == smart.Launch:
			may = parsed.Type == "patient" && c.Patient != "" || parsed.Type == "encounter" && c.Encounter != ""
		}
		if may {
			scopes = append(scopes, one)
		}
	}
	return scopes, len(scopes) == 0 || asksForData(asked) && !asksForData(scopes)
}

// isData reports whether a scope lets an app at data: one for resources, or one that only the FHIR server
// knows.
func isData(s smart.Scope) bool {
	return s.Kind == smart.Resource || s.Kind == smart.Custom && s.String() != "fhirUser" && s.String() != "online_access"
}

func mayHave(context string, u User, c Launched) bool {
	switch {
	case u.FHIRUser == "":
		return false
	case context == "patient":
		return c.Patient != ""
	case context == "user":
		return u.kind() != "Patient"
	}
	return false
}
