package fhiruser

import (
	"slices"
	"strings"

	"fhirlink/shared/paste"
)

var (
	extensionClaim = paste.MustCompile(`^extension_[0-9a-f]{32}_fhirUser$`)
	// reference is a relative reference to a resource that can be a user (SMART App Launch 2.2, "fhirUser").
	reference = paste.MustCompile(`^(?:Patient|Practitioner|PractitionerRole|RelatedPerson|Person)/[A-Za-z0-9.-]{1,64}$`)
)

// Of finds the user's resource in the claims of Entra's id token: in the claim of that name, in
// that of a directory extension with a short name, or with its whole one. It is relative, or absolute
// below one of the FHIR bases; anything else counts as none.
func Of(claims map[string]any, name string, bases []string) string {
	names := []string{name, "extn.fhirUser"}
	for claim := range claims {
		if extensionClaim.MatchString(claim) {
			names = append(names, claim)
		}
	}
	slices.Sort(names[2:]) // the claims come in no order
	for _, claim := range names {
		if found := referenceOf(textOf(claims[claim]), bases); found != "" {
			return found
		}
	}
	return ""
}

// textOf returns a text, or the only element of a list: Entra writes short-named extensions as lists.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []any:
		if len(value) == 1 {
			text, _ := value[0].(string)
			return text
		}
	}
	return ""
}

func referenceOf(text string, bases []string) string {
	for _, base := range append([]string{""}, bases...) {
		relative, below := text, base == ""
		if !below {
			relative, below = strings.CutPrefix(text, base+"/")
		}
		if below && reference.MatchString(relative) {
			return relative
		}
	}
	return ""
}
