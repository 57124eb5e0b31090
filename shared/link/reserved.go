package link

import (
	"strings"

	"fhirlink/shared/smart"
)

// formerTypes are the resource types of DSTU2 and STU3 that later versions dropped, and the
// abstract ones: their names are taken all the same.
const formerTypes = `
bodysite conformance dataelement devicecomponent diagnosticorder domainresource eligibilityrequest
eligibilityresponse expansionprofile imagingmanifest imagingobjectselection medicationorder order
orderresponse procedurerequest processrequest processresponse referralrequest resource sequence
servicedefinition`

var resourceTypeSlugs = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range append(smart.ResourceTypes(), strings.Fields(formerTypes)...) {
		set[strings.ToLower(name)] = true
	}
	return set
}()

// isResourceType tells whether s is a FHIR resource type's name in lower case.
func isResourceType(s string) bool { return resourceTypeSlugs[s] }
