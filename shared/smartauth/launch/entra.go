package launch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
)

// maxEntraURL bounds the address at which Entra is asked, in bytes: longer ones are refused on the way, or by
// Entra (AADSTS90015).
const maxEntraURL = 8_000

// ofEntra reports whether apps get Entra's own access tokens.
func (s server) ofEntra() bool { return s.Settings.Tokens == smartauth.OfEntra }

// signsInBy reports whether users of an app sign in by the application with a client id: the link's, or with Entra's
// tokens the app's own. What was kept before apps could have one names none, and means the link's.
func (s server) signsInBy(a smartauth.App, clientID string) bool {
	if s.ofEntra() {
		return a.EntraClientID != "" && clientID == a.EntraClientID
	}
	return clientID == "" || clientID == s.Link.ClientID
}

// clientOf is the application by which users of an app sign in at Entra, with what is kept of it. ok is false if
// nothing is: a crash, or the loss of a row, may have left an app with the name of its application only. It may come
// back, so nothing ends because of that.
func (s server) clientOf(a smartauth.App) (row link.Link, ok bool) {
	if s.ofEntra() {
		return a.Registration.Row, a.EntraClientID != "" && a.Registration.Row.ClientID == a.EntraClientID
	}
	return s.Link, true
}

// upstream is what Entra is asked for besides signing the user in, in its spelling: each of the app's scopes that
// covers one which is asked for, as it is registered; with the setting request=default all that was consented to.
// description says what cannot be spelled; empty: nothing.
func (s server) upstream(a smartauth.App, asked []string) (scopes []string, description string) {
	if !s.ofEntra() {
		return nil, ""
	}
	all := s.Resource() + "/.default"
	if s.Settings.Spelling.Default || !asksForData(asked) { // an access token must be for the FHIR server
		return []string{all}, ""
	}
	for _, one := range a.Scopes {
		registered := smart.Parse(one)
		if !isData(registered) || registered.Context == "system" || !slices.ContainsFunc(asked, func(b string) bool { return smart.Covers(registered, smart.Parse(b)) }) {
			continue
		}
		spelled, err := s.Spell(one)
		if err != nil {
			return nil, "The scope " + one + ", which the app is registered for, cannot be spelled for Entra. The organization's administrator gives it an alias, or changes it."
		}
		scopes = append(scopes, spelled)
	}
	if scopes == nil {
		return []string{all}, ""
	}
	return scopes, ""
}

// refreshScope is what a refresh asks Entra for. Without it Entra may answer with a token for another resource, or refuse
// (AADSTS90009, AADSTS90023). The FHIR server's scopes come first, because the first one decides. Of the app's scopes only
// those are asked for that the token had before: nobody has consented to what the app may have since.
func (s server) refreshScope(a smartauth.App, box boxed) string {
	a.Scopes = slices.DeleteFunc(slices.Clone(a.Scopes), func(one string) bool { return !slices.Contains(box.Upstream.Returned, one) })
	scopes, description := s.upstream(a, box.Grant.Scopes)
	if description != "" {
		scopes = []string{s.Resource() + "/.default"}
	}
	return strings.Join(append(scopes, "openid", "profile", "offline_access"), " ")
}

// errForOthers means that a token of Entra's is not for the FHIR server.
var errForOthers = errors.New("the aud of Entra's access token is another service of Microsoft's")

// forOthers is what callers are told of that.
const forOthers = "Entra gave an access token for Microsoft Graph, or another service of Microsoft's, instead of the FHIR server. The organization's administrator corrects the setting resource, or the aliases: they name the FHIR server's application in Entra."

// isForOthers reports whether an access token can be read, and opens a service of Microsoft's that is no FHIR server. No
// app may get that, and its scopes are not the FHIR server's, whatever they are called.
func isForOthers(access secret.Value) bool {
	claims, err := entra.ParseClaims(access.Reveal())
	return err == nil && slices.ContainsFunc(claims.Audience, entra.IsOtherService)
}

// returned is what Entra's answer says of the scopes of its access token, in SMART's spelling, without what is no
// scope of the resource. An answer that says nothing has what was asked for (RFC 6749 §5.1).
func (s server) returned(t entra.UserTokens, asked []string) (scopes []string) {
	values := strings.Fields(t.Scope)
	if len(values) == 0 {
		if claims, err := entra.ParseClaims(t.Access.Reveal()); err == nil {
			values = strings.Fields(claims.Scopes)
		}
	}
	if len(values) == 0 {
		return asked
	}
	for _, value := range values {
		if scope, ok := s.Unspell(value); ok && isData(smart.Parse(scope)) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// cutTo leaves of scopes those for data that Entra's token has, and all that Entra does not know.
func cutTo(returned, scopes []string) []string {
	has := within(returned, scopes)
	return slices.DeleteFunc(slices.Clone(scopes), func(one string) bool { return isData(smart.Parse(one)) && !slices.Contains(has, one) })
}

// extra are the scopes of Entra's token that were not granted.
func extra(returned, granted []string) []string {
	covered := within(granted, returned)
	return slices.DeleteFunc(slices.Clone(returned), func(one string) bool { return slices.Contains(covered, one) })
}

// upstreamToken is an access token of Entra's, as it is kept until an app gets it.
type upstreamToken struct {
	secret.Hidden

	Access   string
	Ends     time.Time
	Returned []string // its scopes, in SMART's spelling
}

func (s server) upstreamToken(t entra.UserTokens, asked []string) upstreamToken {
	return upstreamToken{Access: t.Access.Reveal(), Ends: t.ExpiresOn, Returned: s.returned(t, asked)}
}

// handOn makes the answer with Entra's access token.
func (s *Service) handOn(q asked, g Grant, t upstreamToken) TokenAnswer {
	answer := q.answer(g)
	answer.AccessToken, answer.ExpiresIn = t.Access, max(0, int64(t.Ends.Sub(s.Now())/time.Second))
	answer.extra = len(extra(t.Returned, g.Scopes))
	if q.server.Settings.Diagnostics {
		answer.GrantedExtra = strings.Join(extra(t.Returned, g.Scopes), " ")
	}
	return answer
}

// backendOfEntra gives a backend service Entra's token for the application of its own: what was asked for and is
// among the token's roles.
func (s *Service) backendOfEntra(ctx context.Context, q asked, asked []string) (TokenAnswer, error) {
	row, ok := q.server.clientOf(q.app)
	if !ok {
		return TokenAnswer{}, errNotRegistered
	}
	var token entra.Token
	err := s.Clients.As(ctx, row, func(ctx context.Context, as entra.Credentials) (err error) {
		token, err = s.Tokens.Token(ctx, as, q.server.Resource()+"/.default")
		return err
	})
	if err == nil && isForOthers(token.Access) {
		err = errForOthers
	}
	if err != nil {
		return TokenAnswer{}, q.server.notNow(err)
	}
	claims, err := entra.ParseClaims(token.Access.Reveal())
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	t := upstreamToken{Access: token.Access.Reveal(), Ends: token.ExpiresOn}
	for _, role := range claims.Roles {
		if scope, ok := q.server.Unspell(role); ok && isSystem(scope) {
			t.Returned = append(t.Returned, scope)
		}
	}
	granted := within(t.Returned, asked)
	if len(granted) == 0 {
		return TokenAnswer{}, &oauth.Error{Code: oauth.InvalidScope, Description: "Entra has granted the app's application none of these scopes. The organization's administrator assigns them as app roles (API permissions, application permissions), and consents."}
	}
	return s.handOn(q, Grant{Scopes: granted}, t), nil
}

// errNotRegistered is for an app without the registration that it needs.
var errNotRegistered = problem.Unavailable(nil, refreshRetry, "The registration of the app in Entra is not complete. The organization's administrator sends it again (API: PATCH the app with entra); the app may try again later.")
