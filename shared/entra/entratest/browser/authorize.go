package browser

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/entra/entratest"
)

// request is a request to the authorization endpoint that has been found in order.
type request struct {
	tenant string // "": that of the account
	query  url.Values
	mode   string // response_mode

	code     bool // the answer is a code
	platform entratest.Platform
	scopes   entratest.Scopes
}

func (q request) get(name string) string { return q.query.Get(name) }

// authorize signs a person in (OpenID Connect Core §3.2.2). What is wrong with the application or its
// redirect URI is shown here, and never sent to that URI.
func (s *Site) authorize(w http.ResponseWriter, r *http.Request, tenant string) {
	q := request{tenant: tenant, query: r.URL.Query(), mode: "form_post", scopes: entratest.Scopes{OIDC: []string{"openid", "profile"}}}
	if q.get("client_id") != s.ClientID || q.get("response_type") == "code" {
		s.authorizeCode(w, r, q)
		return
	}
	if !s.registered(q.get("redirect_uri")) {
		s.refuseRedirect(w, q)
		return
	}
	if oauth, number, text := mistakeIn(q); number != 0 {
		s.sendBack(w, q, url.Values{"error": {oauth}, "error_description": {s.Authority.Description(number, text)}})
		return
	}
	if s.scenario("") == IDTokensOff { // found before anybody is asked
		s.answerWith(w, q, User{}, IDTokensOff)
		return
	}
	u, ok := s.choose(r, q)
	switch {
	case ok:
		s.answerTo(w, q, u, s.scenario(r.PostForm.Get("answer")))
	case q.get("prompt") == "none":
		s.answerWith(w, q, User{}, LoginRequired)
	default:
		s.page(w, http.StatusOK, "choose", view{
			Heading: "Pick an account", Users: s.Users, Hint: q.get("login_hint"), Scenarios: Scenarios(), Action: r.URL.RequestURI(),
		})
	}
}

func (s *Site) refuseRedirect(w http.ResponseWriter, q request) {
	s.refuse(w, http.StatusBadRequest, 50011, "The redirect URI '"+q.get("redirect_uri")+"' specified in the request does not match the redirect URIs configured for the application '"+q.get("client_id")+"'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal.")
}

// duplicated returns a parameter that comes twice, or "".
func (q request) duplicated() string {
	for name, values := range q.query {
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

// mistakeIn returns what Entra finds wrong with a request for an ID token.
func mistakeIn(q request) (oauth string, number int, text string) {
	if name := q.duplicated(); name != "" {
		return "invalid_request", 9000411, "The request is not properly formatted. The parameter '" + name + "' is duplicated."
	}
	switch scopes := strings.Fields(q.get("scope")); {
	case q.get("response_type") == "":
		return "invalid_request", 900144, "The request body must contain the following parameter: 'response_type'."
	case q.get("response_type") != "id_token":
		return "unsupported_response_type", 700054, "response_type '" + q.get("response_type") + "' is not enabled for the application."
	case q.get("response_mode") != "form_post":
		return "invalid_request", 70007, "'" + q.get("response_mode") + "' is not a supported value of 'response_mode' when requesting a token."
	case !slices.Contains(scopes, "openid"):
		return "invalid_request", 900144, "The request body must contain the following parameter: 'scope'."
	case q.get("nonce") == "":
		return "invalid_request", 900144, "The request body must contain the following parameter: 'nonce'."
	case !slices.Contains([]string{"", "none", "login", "select_account", "consent"}, q.get("prompt")):
		return "invalid_request", 90023, "Unsupported 'prompt' value."
	}
	return "", 0, ""
}

// choose returns the user who signs in: the one whom the person has just chosen, else the one who is
// signed in at this site, unless the application wants to know or means another account.
func (s *Site) choose(r *http.Request, q request) (User, bool) {
	if r.Method == http.MethodPost {
		return s.user(r.PostForm.Get("user"))
	}
	u, ok := s.signedIn(r)
	hint := q.get("login_hint")
	return u, ok && q.get("prompt") != "select_account" && q.get("prompt") != "login" && (hint == "" || u.meantBy(hint))
}

// answerTo answers for a user, who stays signed in at this site.
func (s *Site) answerTo(w http.ResponseWriter, q request, u User, answer Scenario) {
	if q.tenant == "" {
		q.tenant = u.Home
	}
	if _, in := u.Members[q.tenant]; !in {
		forget(w)
		s.refuse(w, http.StatusBadRequest, 50020, "User account '"+u.Username+"' from identity provider 'https://sts.windows.net/"+u.Home+"/' does not exist in tenant 'Sandbox' and cannot access the application '"+q.get("client_id")+"' in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different account.")
		return
	}
	if s.Authority.Disabled(u.Members[q.tenant].ObjectID) {
		forget(w)
		s.refuse(w, http.StatusBadRequest, 50057, "Your account is locked. Contact your support person to unlock it, then try again.")
		return
	}
	remember(w, u)
	s.answerWith(w, q, u, answer)
}

func (s *Site) answerWith(w http.ResponseWriter, q request, u User, answer Scenario) {
	if q.code && answer == IDTokensOff {
		answer = "" // that setting is about ID tokens from here
	}
	if refusal, ok := refusals[answer]; ok && (!refusal.silent || q.get("prompt") == "none") {
		text := strings.ReplaceAll(refusal.text, "{client}", q.get("client_id"))
		s.sendBack(w, q, url.Values{"error": {refusal.oauth}, "error_description": {s.Authority.Description(refusal.number, text)}})
		return
	}
	if answer == WrongState {
		q.query = maps.Clone(q.query)
		q.query.Set("state", "WRONGSTATEWRONGSTATEWRONGS")
	}
	back := url.Values{"session_state": {"5f3a7a0e-0000-4000-8000-000000000000"}}
	if signIn := s.signIn(q, u, answer); q.code {
		back.Set("code", s.Authority.Code(signIn))
	} else {
		back.Set("id_token", s.Authority.IDToken(signIn, s.now()))
	}
	s.sendBack(w, q, back)
}

// signIn is what a user's tokens are made of, changed as a scenario wants it.
func (s *Site) signIn(q request, u User, answer Scenario) entratest.SignIn {
	member := u.Members[q.tenant]
	signIn := entratest.SignIn{
		Tenant: q.tenant, ClientID: strings.ToLower(q.get("client_id")), RedirectURI: q.get("redirect_uri"), Platform: q.platform, Scopes: q.scopes,
		Nonce: q.get("nonce"), Challenge: q.get("code_challenge"), Method: q.get("code_challenge_method"),
		User: entratest.Account{
			ObjectID: member.ObjectID, Name: u.Name, Username: u.Username, Email: u.Username, Claims: s.claims(q, u), AccessClaims: u.AccessClaims,
		},
	}
	switch answer {
	case ClockBehind:
		signIn.Changed = times(s.now().Add(2 * time.Hour))
	case ClockAhead:
		signIn.Changed = times(s.now().Add(-2 * time.Hour))
	case KeyRotated:
		s.Authority.Rotate(false)
	case Forged:
		signIn.Forged = true
	case WrongNonce:
		signIn.Changed = map[string]any{"nonce": "of another sign-in"}
	case Stranger:
		const tenant = "66666666-6666-4666-8666-666666666666"
		signIn.Changed = map[string]any{"tid": tenant, "iss": strings.TrimRight(s.Authority.URL, "/") + "/" + tenant + "/v2.0"}
	}
	return signIn
}

// times are the claims of an ID token that is issued at a time.
func times(now time.Time) map[string]any {
	begins := now.Add(-5 * time.Minute).Unix()
	return map[string]any{"iat": begins, "nbf": begins, "exp": now.Add(time.Hour).Unix()}
}

// claims are what the registration of an application adds to its ID tokens: the API's have roles and
// login_hint, those of links say which FHIR resource a user is.
func (s *Site) claims(q request, u User) map[string]any {
	if q.get("client_id") == s.ClientID {
		claims := map[string]any{"login_hint": u.hint()}
		if roles := u.Members[q.tenant].Roles; len(roles) > 0 {
			claims["roles"] = roles
		}
		return claims
	}
	switch {
	case u.FHIRUser == "":
		return nil
	case strings.HasPrefix(s.FHIRUserClaim, "extn."):
		return map[string]any{s.FHIRUserClaim: []string{u.FHIRUser}}
	}
	return map[string]any{s.FHIRUserClaim: u.FHIRUser}
}

// sendBack makes the browser take the answer to the application, in the response mode that it wants.
func (s *Site) sendBack(w http.ResponseWriter, q request, answer url.Values) {
	if state := q.get("state"); state != "" {
		answer.Set("state", state)
	}
	to, separator := q.get("redirect_uri"), "?"
	switch q.mode {
	case "form_post":
		s.page(w, http.StatusOK, "send-back", view{Heading: "Working…", Action: to, Fields: answer})
		return
	case "fragment":
		separator = "#"
	default:
		if strings.Contains(to, "?") {
			separator = "&"
		}
	}
	w.Header().Set("Location", to+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}
