package link

import (
	"strings"

	"fhirlink/shared/smart"
)

var resourceTypeSlugs = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range smart.ResourceTypes() {
		set[strings.ToLower(name)] = true
	}
	return set
}()

// isResourceType tells whether s is a FHIR resource type's name in lower case.
func isResourceType(s string) bool { return resourceTypeSlugs[s] }
