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
}

func (q request) get(name string) string { return q.query.Get(name) }

// authorize signs a person in (OpenID Connect Core §3.2.2). What is wrong with the application or its
// redirect URI is shown here, and never sent to that URI.
func (s *Site) authorize(w http.ResponseWriter, r *http.Request, tenant string) {
	q := request{tenant, r.URL.Query()}
	if client := q.get("client_id"); client != s.ClientID {
		s.refuse(w, http.StatusBadRequest, 700016, "Application with identifier '"+client+"' was not found in the directory 'Sandbox'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.")
		return
	}
	if redirect := q.get("redirect_uri"); !s.registered(redirect) {
		s.refuse(w, http.StatusBadRequest, 50011, "The redirect URI '"+redirect+"' specified in the request does not match the redirect URIs configured for the application '"+s.ClientID+"'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal.")
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

// mistakeIn returns what Entra finds wrong with a request.
func mistakeIn(q request) (oauth string, number int, text string) {
	for name, values := range q.query {
		if len(values) > 1 {
			return "invalid_request", 9000411, "The request is not properly formatted. The parameter '" + name + "' is duplicated."
		}
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
		s.refuse(w, http.StatusBadRequest, 50020, "User account '"+u.Username+"' from identity provider 'https://sts.windows.net/"+u.Home+"/' does not exist in tenant 'Sandbox' and cannot access the application '"+s.ClientID+"' in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different account.")
		return
	}
	remember(w, u)
	s.answerWith(w, q, u, answer)
}

func (s *Site) answerWith(w http.ResponseWriter, q request, u User, answer Scenario) {
	if refusal, ok := refusals[answer]; ok && (!refusal.silent || q.get("prompt") == "none") {
		text := strings.ReplaceAll(refusal.text, "{client}", s.ClientID)
		s.sendBack(w, q, url.Values{"error": {refusal.oauth}, "error_description": {s.Authority.Description(refusal.number, text)}})
		return
	}
	if answer == WrongState {
		q.query = maps.Clone(q.query)
		q.query.Set("state", "WRONGSTATEWRONGSTATEWRONGS")
	}
	s.sendBack(w, q, url.Values{"id_token": {s.idToken(q, u, answer)}, "session_state": {"5f3a7a0e-0000-4000-8000-000000000000"}})
}

// idToken signs an ID token
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
func (s *Site) idToken(q request, u User, answer Scenario) string {
	member, now, signer := u.Members[q.tenant], s.now(), s.Authority
	tenant, nonce := q.tenant, q.get("nonce")
	switch answer {
	case ClockBehind:
		now = now.Add(2 * time.Hour)
	case ClockAhead:
		now = now.Add(-2 * time.Hour)
	case KeyRotated:
		signer.Rotate(false)
	case Forged:
		signer = entratest.New()
		signer.Rotate(true)
	case WrongNonce:
		nonce = "of another sign-in"
	case Stranger:
		tenant = "66666666-6666-4666-8666-666666666666"
	}
	begins := now.Add(-5 * time.Minute).Unix()
	claims := map[string]any{
		"ver": "2.0", "iss": strings.TrimRight(s.Authority.URL, "/") + "/" + tenant + "/v2.0", "aud": s.ClientID, "tid": tenant, "oid": member.ObjectID,
		"sub": "pairwise-" + member.ObjectID, "iat": begins, "nbf": begins, "exp": now.Add(time.Hour).Unix(), "nonce": nonce,
		"name": u.Name, "preferred_username": u.Username, "login_hint": u.hint(), "uti": "sandbox", "rh": "0.sandbox",
	}
	if len(member.Roles) > 0 {
		claims["roles"] = member.Roles
	}
	return signer.Sign(nil, claims)
}

// sendBack makes the browser post the answer to the application (OAuth 2.0 Form Post Response Mode).
func (s *Site) sendBack(w http.ResponseWriter, q request, answer url.Values) {
	if state := q.get("state"); state != "" {
		answer.Set("state", state)
	}
	s.page(w, http.StatusOK, "send-back", view{Heading: "Working…", Action: q.get("redirect_uri"), Fields: answer})
}
