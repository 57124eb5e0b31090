package main

import (
	"context"
	"net/http"

	"fhirlink/functions/manage"
	"fhirlink/shared/caller"
	"fhirlink/shared/signin"
)

// thisMachine is the sign-in of the pages without -sign-in: whoever may call this program acts as the
// sandbox's organization, with all rights.
type thisMachine struct{}

// Visitor implements [manage.SignIn].
func (thisMachine) Visitor(*http.Request) (manage.Visitor, error) {
	return manage.Visitor{Caller: localCaller(localOrganization)}, nil
}

// For implements [manage.SignIn]. There is one visitor only.
func (thisMachine) For(context.Context, caller.Caller) (string, error) { return "this-machine", nil }

// CheckFor implements [manage.SignIn].
func (m thisMachine) CheckFor(ctx context.Context, c caller.Caller, value string) error {
	if own, _ := m.For(ctx, c); value != own { // never fails
		return signin.ErrOtherPerson
	}
	return nil
}
