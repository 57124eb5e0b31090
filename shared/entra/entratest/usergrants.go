package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// badGrant is the refusal of a code or a refresh token.
func badGrant(number int, text string) *refusal {
	return &refusal{status: http.StatusBadRequest, oauth: "invalid_grant", number: number, text: text}
}

// redeem answers a code or a refresh token of a user (RFC 6749 §4.1.3, §6).
//
// The numbers 54005, 70008, 500112, 501481, 50057, 50173, 65001, 700082, 700084, 700025, 7000218, 9002326 and
// 9002327 are in Microsoft's list or in public reports, as invalid_grant, invalid_client and
// invalid_request as here. What 70000, 700005 and 9002313 are used for is from memory of Microsoft's
// list, and so is the order of the checks, which is not documented.
func (a *Authority) redeem(w http.ResponseWriter, r *http.Request, tenant Tenant, form url.Values) {
	origin := r.Header.Get("Origin")
	if origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	app, bad := a.application(tenant, form)
	if bad != nil {
		a.refuse(w, *bad)
		return
	}
	t, bad := a.ticketOf(tenant, app, form, origin)
	var resource string
	if bad == nil {
		resource, bad = a.checkUser(app, t, form)
	}
	switch {
	case bad == nil && !t.Refresh && !a.spend(t.ID):
		a.refuse(w, *badGrant(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."))
	case bad == nil:
		a.answerUser(w, tenant, app, t, resource)
	case bad.number == 65001:
		a.refuseWith(w, *bad, map[string]any{"suberror": "consent_required"})
	default:
		a.refuse(w, *bad)
	}
}

// ticketOf reads the code or the refresh token of a request, and checks that the application may redeem
// it in this way.
func (a *Authority) ticketOf(tenant Tenant, app App, form url.Values, origin string) (ticket, *refusal) {
	name := "code"
	if form.Get("grant_type") == "refresh_token" {
		name = "refresh_token"
	}
	t, readable := a.open(form.Get(name))
	if bad := a.proveClient(app, platformOf(app, t), tenant, form, origin); bad != nil {
		return t, bad
	}
	switch {
	case !readable || t.Refresh != (name == "refresh_token"):
		return t, badGrant(9002313, "Invalid request. Request is malformed or invalid.")
	case t.ClientID != app.ClientID:
		return t, badGrant(70000, "The provided value for the '"+name+"' parameter is not valid.")
	case t.Tenant != tenant.ID:
		return t, badGrant(700005, "Provided Authorization Code is intended to use against other tenant, thus rejected.")
	case t.Refresh:
		return t, a.checkRefresh(t)
	}
	return t, a.checkCode(t, form)
}

// platformOf returns the platform that a ticket was issued for. Of none, it goes by whether the
// application is confidential.
func platformOf(app App, t ticket) Platform {
	switch {
	case t.Platform != "":
		return t.Platform
	case len(app.Secrets)+len(app.Certificates) > 0:
		return Web
	}
	return Public
}

// proveClient checks what each platform has to send, and must not.
func (a *Authority) proveClient(app App, p Platform, tenant Tenant, form url.Values, origin string) *refusal {
	secret := form.Get("client_secret") != "" || form.Get("client_assertion") != ""
	switch {
	case p != SPA && origin != "":
		return invalid(9002326, "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '"+origin+"'.")
	case p == SPA && origin == "":
		return invalid(9002327, "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.")
	case p == Web:
		return a.checkClient(tenant, app, form)
	case secret:
		return &refusal{http.StatusUnauthorized, "invalid_client", 700025, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."}
	}
	return nil
}

func (a *Authority) checkCode(t ticket, form url.Values) *refusal {
	verifier := form.Get("code_verifier")
	switch {
	case a.now().Sub(t.Issued) > codeLife:
		return badGrant(70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case form.Get("redirect_uri") != t.RedirectURI:
		return badGrant(500112, "The reply address '"+form.Get("redirect_uri")+"' does not match the reply address '"+t.RedirectURI+"' provided when requesting Authorization code.")
	case (t.Challenge != "" || verifier != "") && !t.proves(verifier):
		return badGrant(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return nil
}

func (a *Authority) checkRefresh(t ticket) *refusal {
	at := t.Issued.UTC().Format(time.RFC3339Nano)
	switch {
	case t.Platform == SPA && a.now().Sub(t.SignedIn) > spaLife:
		return badGrant(700084, "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page. The token was issued on "+at+".")
	case a.now().Sub(t.Issued) > refreshLife:
		return badGrant(700082, "The refresh token has expired due to inactivity. The token was issued on "+at+" and was inactive for 90.00:00:00.")
	}
	return nil
}

// checkUser checks what has happened to the user since the sign-in. It returns the resource that the
// request, or else the sign-in, is about.
func (a *Authority) checkUser(app App, t ticket, form url.Values) (resource string, bad *refusal) {
	resource = t.Scopes.Resource
	if scope := form.Get("scope"); scope != "" {
		asked, mistake := a.ReadScopes(t.Tenant, app.ClientID, scope)
		if mistake != nil {
			return "", &refusal{http.StatusBadRequest, mistake.OAuth, mistake.Number, mistake.Text}
		}
		if len(asked.Names) > 0 {
			resource = asked.Resource
		}
	}
	a.mu.Lock()
	disabled, revoked := a.people.disabled[t.User.ObjectID], a.people.revoked[t.User.ObjectID]
	a.mu.Unlock()
	switch {
	case disabled:
		return "", badGrant(50057, "The user account is disabled.")
	case t.Number <= revoked:
		return "", badGrant(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '"+t.SignedIn.UTC().Format(time.RFC3339Nano)+"' and the TokensValidFrom date (before which tokens are not valid) for this user is '"+a.now().UTC().Format(time.RFC3339Nano)+"'.")
	case len(a.consented(app, t.who(), resource)) == 0:
		return "", badGrant(65001, "The user or administrator has not consented to use the application with ID '"+app.ClientID+"' named 'Sandbox'. Send an interactive authorization request for this user and resource.")
	}
	return resource, nil
}

// answerUser answers with all scopes of the resource that there is consent for, whatever was asked.
// openid and offline_access are not among them: the tokens tell.
func (a *Authority) answerUser(w http.ResponseWriter, tenant Tenant, app App, t ticket, resource string) {
	scopes := a.consented(app, t.who(), resource)
	scope := strings.Join(scopes, " ")
	if resource != Graph {
		scope = strings.Join(prefixed(resource, scopes), " ")
	}
	if a.Scope != nil {
		scope = a.Scope(scope)
	}
	var expires any = int64(a.lifetime().Seconds())
	if a.TextExpiresIn {
		expires = strconv.Itoa(int(a.lifetime().Seconds()))
	}
	answer := map[string]any{
		"token_type": "Bearer", "expires_in": expires, "ext_expires_in": expires,
		"access_token": a.userToken(tenant, app, t.SignIn, resource, scopes),
	}
	if scope != "" {
		answer["scope"] = scope
	}
	if slices.Contains(t.Scopes.OIDC, "openid") {
		answer["id_token"] = a.IDToken(t.SignIn, a.now())
	}
	if slices.Contains(t.Scopes.OIDC, offlineAccess) {
		answer["refresh_token"] = a.renew(t)
	}
	writeJSON(w, http.StatusOK, answer)
}

func prefixed(resource string, names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = resource + "/" + name
	}
	return all
}
