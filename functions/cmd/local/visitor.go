package main

import (
	"net/http"

	"fhirlink/functions/manage"
)

// thisMachine is the sign-in of the pages without -sign-in: whoever may call this program acts as the
// sandbox's organization, with all rights.
type thisMachine struct{}

// Visitor implements [manage.SignIn].
func (thisMachine) Visitor(*http.Request) (manage.Visitor, bool) {
	return manage.Visitor{Caller: localCaller(localOrganization)}, true
}

// Bind implements [manage.SignIn]. There is one visitor only.
func (thisMachine) Bind(manage.Visitor) string { return "this-machine" }

// Bound implements [manage.SignIn].
func (m thisMachine) Bound(v manage.Visitor, value string) bool { return value == m.Bind(v) }
