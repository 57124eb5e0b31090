package launch

import (
	"context"
	"slices"
	"time"

	"fhirlink/shared/oauth"
	"fhirlink/shared/smart"
)

// backendLife is how long the access token of a backend service is good (SMART Backend Services, "Issue
// access token", which says at most five minutes).
const backendLife = 300 * time.Second

// backend gives a backend service an access token. There is no grant to refresh or to revoke: it ends by
// itself.
func (s *Service) backend(ctx context.Context, q asked) (TokenAnswer, error) {
	asked, description := splitScopes(q.form.Get("scope"))
	switch {
	case description != "":
	case len(asked) == 0:
		return TokenAnswer{}, invalidRequest("The parameter scope is missing. Ask for scopes such as system/Patient.rs.")
	case slices.ContainsFunc(asked, func(one string) bool { return !isSystem(one) }):
		description = "A backend service has no user: it can be granted system/ scopes only, such as system/Patient.rs."
	}
	var granted []string
	if description == "" {
		granted, description = q.server.cut(q.form.Get("scope"), q.app, false)
	}
	if description != "" {
		return TokenAnswer{}, &oauth.Error{Code: oauth.InvalidScope, Description: description}
	}
	if q.server.ofEntra() {
		return s.backendOfEntra(ctx, q, granted)
	}
	return s.sign(ctx, q, Grant{Scopes: granted}, backendLife)
}

// isSystem reports whether a scope needs no user.
func isSystem(scope string) bool {
	parsed := smart.Parse(scope)
	return parsed.Kind == smart.Resource && parsed.Context == "system"
}
