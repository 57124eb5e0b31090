package main

import (
	"net/http"
	"strings"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// organizationHeader selects another organization than the usual one.
const organizationHeader = "X-Local-Organization"

// localOrganization is the sandbox's tenant. Requests without a sign-in act as this
// organization.
const localOrganization = "11111111-1111-4111-8111-111111111111"

// callers is the sign-in rule of this program. Any client that can reach it has all rights,
// since only this machine can. A request with a token is checked as in the cloud all the same.
type callers struct {
	tokens caller.Authenticator // nil: refuseTokens is in front
}

// Authenticate implements [caller.Authenticator].
func (c callers) Authenticate(r *http.Request) (caller.Caller, error) {
	if _, sent := r.Header["Authorization"]; sent {
		return c.tokens.Authenticate(r)
	}
	organization := localOrganization
	if values := r.Header[organizationHeader]; len(values) > 0 {
		organization = strings.ToLower(values[0])
	}
	return localCaller(organization), nil
}

// localCaller is whoever calls without a sign-in: it has all rights of the organization.
func localCaller(organization string) caller.Caller {
	return caller.Caller{Organization: organization, App: true, Roles: []string{"Links.Manage.All", "Links.Token.All", "Links.Launch.All"}, Name: "This machine", Local: true}
}

// checkOrganization refuses a header that names no organization.
func (f refuser) checkOrganization(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header[organizationHeader]
		if isSMART(r) { // the slug names the organization
			next.ServeHTTP(w, r)
			return
		}
		if len(values) > 1 || len(values) == 1 && !entra.IsGUID(strings.ToLower(values[0])) {
			p := problem.Invalid(problem.Field{
				Field: organizationHeader, Code: "not_a_guid", Message: "The header does not hold one GUID.",
				Fix: "Send the tenant id of the organization to act as, or leave the header out.",
			})
			p.Detail = "The header " + organizationHeader + " holds the tenant id (a GUID) of the organization to act as. Correct it or leave it out."
			f.refuse(w, r, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseTokens answers every request that has an Authorization header with 401, on open routes
// too, because a client that sends a token expects it to be checked.
func (f refuser) refuseTokens(next http.Handler) http.Handler {
	const reason = "this program cannot check tokens before FHIRLINK_API_AUDIENCE and FHIRLINK_ALLOWED_TENANTS are set"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, sent := r.Header["Authorization"]; !sent || isPage(r) || isSMART(r) { // they read no Entra bearer
			next.ServeHTTP(w, r)
			return
		}
		f.refuse(w, r, &problem.Error{
			Code: problem.Unauthenticated, Challenge: oauth.Challenge(oauth.InvalidToken, reason, ""),
			Detail: "The access token is not accepted: " + reason + ". Leave the Authorization header out to act without a sign-in.",
		})
	})
}
