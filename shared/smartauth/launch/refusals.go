package launch

import (
	"fmt"
	"slices"
	"strings"

	"fhirlink/shared/entra"
	"fhirlink/shared/oauth"
)

// Codes with which an authorization server says that it must talk to the user (OpenID Connect Core
// §3.1.2.6).
const (
	loginRequired       = "login_required"
	interactionRequired = "interaction_required"
	consentRequired     = "consent_required"
)

// byNumber is what apps are told of Entra's refusals. The number decides before Entra's own code, which it
// does not always choose after its meaning (contract-smart.md §7). {clientId} and {clientSecret} stand for the settings that
// name the application.
var byNumber = map[int]struct{ code, description string }{
	70011:   {oauth.InvalidScope, "Entra does not take a scope that it was asked for."},
	650053:  {oauth.InvalidScope, "Entra does not know a scope that it was asked for."},
	65001:   {consentRequired, "The user, or an administrator, has not consented to signing in to the organization's application."},
	65004:   {accessDenied, "The user has not consented to signing in."},
	50058:   {loginRequired, "No user is signed in."},
	50076:   {interactionRequired, "The user must prove who they are in another way, too."},
	50079:   {interactionRequired, "The user must register another way to prove who they are."},
	16000:   {interactionRequired, "The user must choose an account."},
	650057:  {oauth.ServerError, "The application that {clientId} names lacks a permission in Entra: the organization's administrator adds it."},
	65005:   {oauth.ServerError, "The application that {clientId} names lacks a permission in Entra: the organization's administrator adds it."},
	7000215: {oauth.ServerError, "Entra says that {clientSecret} is wrong: the organization's administrator replaces it."},
	7000222: {oauth.ServerError, "Entra says that {clientSecret} has expired: the organization's administrator replaces it."},
	700016:  {oauth.ServerError, "Entra says that {clientId} names no application in the tenant: the organization's administrator corrects it."},
	50011:   {oauth.ServerError, "The callback is no redirect URI of the application that {clientId} names: the organization's administrator adds it, as platform Web."},
	500113:  {oauth.ServerError, "The application that {clientId} names has no redirect URI: the organization's administrator adds the callback, as platform Web."},
}

// byCode is what apps are told where no number says more.
var byCode = map[string]string{
	accessDenied:        "Entra does not let the user sign in, or the user did not want to.",
	loginRequired:       "The user must sign in.",
	interactionRequired: "The user must answer a question of Entra's.",
	consentRequired:     "The user, or an administrator, has not consented.",
}

// explain returns what an app is told of a refusal: our words, and Entra's number. upstream are the scopes that
// Entra was asked for, in its spelling.
func (s server) explain(r *entra.Refusal, upstream []string) (code, description string) {
	if told, ok := byNumber[r.Number]; ok {
		code, description = told.code, told.description
	} else if words, ok := byCode[r.OAuthError]; ok {
		code, description = r.OAuthError, words
	} else if r.Class() == entra.Transient {
		code, description = oauth.Unavailable, "Entra is busy just now. Try again in a few seconds."
	} else {
		code, description = oauth.ServerError, "Entra did not complete the sign-in."
	}
	if code == oauth.InvalidScope {
		description += s.scopeIn(r.Sentence, upstream)
	}
	return code, s.naming(description) + numbered(r)
}

// refusesApplication is what an app is told of a refusal that is not about the user, at the token endpoint.
func (s server) refusesApplication(r *entra.Refusal) (description string) {
	if told, ok := byNumber[r.Number]; ok && told.code == oauth.ServerError {
		return s.naming(told.description) + numbered(r) + " The app may try again later."
	}
	if r.Class() == entra.Transient {
		return "Entra is busy just now. Send the request again in a few seconds." + numbered(r)
	}
	return s.naming("Entra refuses the application that {clientId} names just now. The organization's administrator can mend that; the app may try again later.") + numbered(r)
}

// naming puts in the settings that name the application by which users sign in.
func (s server) naming(description string) string {
	of := "the link's "
	if s.ofEntra() {
		of = "the app's entra."
	}
	return strings.NewReplacer("{clientId}", of+"clientId", "{clientSecret}", of+"clientSecret").Replace(description)
}

// numbered is Entra's number, by which its documentation and its support find a refusal.
func numbered(r *entra.Refusal) string {
	if r.Number == 0 {
		return ""
	}
	return fmt.Sprintf(" (AADSTS%d)", r.Number)
}

// scopeIn names the scope, in SMART's spelling, of those Entra was asked for that stands in its sentence, which is
// not repeated: whoever signs in can make it up.
func (s server) scopeIn(sentence string, upstream []string) string {
	for _, one := range upstream {
		value := strings.TrimPrefix(one, s.Resource()+"/")
		if scope, ok := s.Unspell(one); ok && (strings.Contains(sentence, "'"+value+"'") || strings.Contains(sentence, "'"+one+"'")) {
			return " It is " + scope + ": the organization's administrator registers it as " + value + " at the FHIR server's application, or sets request to default."
		}
	}
	if upstream == nil {
		return ""
	}
	return " The organization's administrator registers the scopes that the settings list, or sets request to default."
}

// asksForUser reports whether a refusal of a refresh token only means that the user must do something at
// Entra: then the grant may live on.
func asksForUser(r *entra.Refusal) bool {
	return slices.Contains([]string{interactionRequired, loginRequired, consentRequired, accessDenied}, r.OAuthError) || slices.Contains([]int{50076, 50079, 50158}, r.Number)
}

// aboutUser reports whether a refusal is about the user or the refresh token: Entra is not just busy, and
// takes the application's credential.
func aboutUser(r *entra.Refusal) bool { return r.Class() == entra.Config && !r.SecretRefused() }
