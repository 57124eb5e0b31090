package browser

import (
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/entra/entratest"
)

// maxQuery is the greatest length of a request's query in bytes. Microsoft does not document Entra's.
const maxQuery = 8 << 10

// automatic is the login hint that signs the first user in without a page, if the application asks for a
// code; with a colon and the name of a user behind it, that user. Entra has no such thing: it is for
// scripts, which would have to read a page otherwise.
const automatic = "auto"

// authorizeCode signs a person in at an application that asks for a code (RFC 6749 §4.1.1), or explains
// why not. The application is the API or any of Authority's.
//
// The numbers 50194, 65001, 650057, 90015, 90023, 50147 and 501491 are in Microsoft's list, 50149 and
// 9002325 in public reports. 7000112, and the OAuth errors beside these numbers, are from memory of
// Microsoft's list.
func (s *Site) authorizeCode(w http.ResponseWriter, r *http.Request, q request) {
	if len(r.URL.RawQuery) > maxQuery {
		s.refuse(w, http.StatusBadRequest, 90015, "The query string is too long.")
		return
	}
	redirects, number, text := s.registration(q)
	if number != 0 {
		s.refuse(w, http.StatusBadRequest, number, text)
		return
	}
	i := slices.IndexFunc(redirects, func(known entratest.RedirectURI) bool { return matches(known.URI, q.get("redirect_uri")) })
	if i < 0 {
		s.refuseRedirect(w, q)
		return
	}
	q.code, q.platform, q.mode = true, redirects[i].Platform, q.get("response_mode")
	if mistake := mistakeInCode(q); mistake != nil {
		s.sendMistake(w, q, mistake)
		return
	}
	u, chosen := s.chooseForCode(r, q)
	if q.tenant == "" && chosen {
		q.tenant = u.Home
	}
	if q.tenant != "" { // else the page comes before the scopes are understood
		var mistake *entratest.Mistake
		if q.scopes, mistake = s.Authority.ReadScopes(q.tenant, q.get("client_id"), q.get("scope")); mistake != nil {
			s.sendMistake(w, q, mistake)
			return
		}
	}
	_, auto := q.automatic()
	silent := q.get("prompt") == "none"
	accepts := r.Method == http.MethodPost || auto && !silent
	switch consented := s.Authority.Consented(q.tenant, strings.ToLower(q.get("client_id")), u.Members[q.tenant].ObjectID, q.scopes); {
	case chosen && !consented && q.scopes.Default():
		s.sendMistake(w, q, &entratest.Mistake{
			OAuth: "invalid_resource", Number: 650057,
			Text: "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration. Client app ID: " + q.get("client_id") + "(Sandbox). Resource value from request: " + q.scopes.Resource + ".",
		})
	case chosen && (consented || accepts):
		s.answerTo(w, q, u, s.scenario(r.PostForm.Get("answer")))
	case chosen && silent:
		s.answerWith(w, q, u, ConsentMissing)
	case silent:
		s.answerWith(w, q, User{}, LoginRequired)
	default:
		s.page(w, http.StatusOK, "choose", view{
			Heading: "Pick an account", Users: s.Users, Hint: q.get("login_hint"), Scenarios: Scenarios(), Action: r.URL.RequestURI(),
			Permissions: q.scopes.Names,
		})
	}
}

// registration returns the redirect URIs of the application that asks, or why it may not ask.
func (s *Site) registration(q request) (redirects []entratest.RedirectURI, number int, text string) {
	client := q.get("client_id")
	app, known := s.Authority.App(q.tenant, client)
	redirects = app.Redirects
	switch {
	case client == s.ClientID:
		redirects = append(web(s.Redirects), redirects...)
	case !known:
		return nil, 700016, "Application with identifier '" + client + "' was not found in the directory 'Sandbox'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
	case q.tenant == "":
		return nil, 50194, "Application '" + client + "'(Sandbox) is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such applications. Use a tenant-specific endpoint or configure the application to be multi-tenant."
	case app.Disabled:
		return nil, 7000112, "Application '" + client + "'(Sandbox) is disabled."
	case len(redirects) == 0:
		redirects = web(s.LinkRedirects)
	}
	return redirects, 0, ""
}

// web returns redirect URIs of the platform Web.
func web(patterns []string) (all []entratest.RedirectURI) {
	for _, pattern := range patterns {
		all = append(all, entratest.RedirectURI{URI: pattern, Platform: entratest.Web})
	}
	return all
}

func (s *Site) sendMistake(w http.ResponseWriter, q request, m *entratest.Mistake) {
	s.sendBack(w, q, map[string][]string{"error": {m.OAuth}, "error_description": {s.Authority.Description(m.Number, m.Text)}})
}

// mistakeInCode returns what Entra finds wrong with a request for a code, scopes aside.
func mistakeInCode(q request) *entratest.Mistake {
	name, challenge := q.duplicated(), q.get("code_challenge")
	switch {
	case name != "":
		return invalid(9000411, "The request is not properly formatted. The parameter '"+name+"' is duplicated.")
	case q.get("response_type") == "":
		return invalid(900144, "The request body must contain the following parameter: 'response_type'.")
	case q.get("response_type") != "code":
		return &entratest.Mistake{OAuth: "unsupported_response_type", Number: 700054, Text: "response_type '" + q.get("response_type") + "' is not enabled for the application."}
	case !slices.Contains([]string{"", "query", "fragment", "form_post"}, q.mode):
		return invalid(70007, "'"+q.mode+"' is not a supported value of 'response_mode' when requesting a token.")
	case q.get("scope") == "":
		return invalid(900144, "The request body must contain the following parameter: 'scope'.")
	case !slices.Contains([]string{"", "none", "login", "select_account", "consent"}, q.get("prompt")):
		return invalid(90023, "Unsupported 'prompt' value.")
	case !slices.Contains([]string{"", "plain", "S256"}, q.get("code_challenge_method")):
		return invalid(50149, "Invalid Code_Challenge_method parameter.")
	case challenge == "" && q.query.Has("code_challenge_method"):
		return invalid(50147, "The size of the code challenge parameter isn't valid.")
	case challenge == "" && q.platform == entratest.SPA:
		return invalid(9002325, "Proof Key for Code Exchange is required for cross-origin authorization code redemption.")
	case challenge != "" && (len(challenge) < 43 || len(challenge) > 128):
		return invalid(501491, "Invalid size of Code_Challenge parameter.")
	}
	return nil
}

func invalid(number int, text string) *entratest.Mistake {
	return &entratest.Mistake{OAuth: "invalid_request", Number: number, Text: text}
}

// automatic returns whom the login hint signs in without a page; "" is the first user.
func (q request) automatic() (name string, ok bool) {
	first, name, _ := strings.Cut(q.get("login_hint"), ":")
	return name, first == automatic
}

// chooseForCode is choose for applications that ask for a code.
func (s *Site) chooseForCode(r *http.Request, q request) (User, bool) {
	if name, ok := q.automatic(); ok && r.Method == http.MethodGet && q.get("prompt") != "none" {
		if name == "" && len(s.Users) > 0 {
			return s.Users[0], true
		}
		return s.user(name)
	}
	u, ok := s.choose(r, q)
	return u, ok && (r.Method == http.MethodPost || q.get("prompt") != "consent")
}
