package intake

import (
	"strings"

	"fhirlink/shared/smart"
)

// otherTypes are the resource types of DSTU2 and STU3 that later versions dropped, those that the
// ballot of R6 adds, and the abstract ones. Their names are reserved too.
const otherTypes = `
bodysite conformance dataelement devicealert devicecomponent deviceuserequest diagnosticorder
domainresource eligibilityrequest eligibilityresponse expansionprofile imagingmanifest imagingobjectselection insuranceproduct
medicationorder moleculardefinition order orderresponse personalrelationship procedurerequest processrequest processresponse referralrequest resource sequence
servicedefinition`

var resourceTypeSlugs = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range append(smart.ResourceTypes(), strings.Fields(otherTypes)...) {
		set[strings.ToLower(name)] = true
	}
	return set
}()

// isResourceType reports whether s is a FHIR resource type's name in lower case.
func isResourceType(s string) bool { return resourceTypeSlugs[s] }
