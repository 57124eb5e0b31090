package browser

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
)

// sessionCookie says who is signed in at this site. It is not Secure, so that the site can be http.
const sessionCookie = "SandboxEntra"

// Site is the sandbox Entra for browsers. Set the exported fields before its first use; methods change
// the others.
type Site struct {
	Authority *entratest.Authority // signs the tokens, and is their issuer: its URL must be set
	URL       string               // of this site, e.g. http://127.0.0.1:7072; requests for another host are refused
	ClientID  string
	// Redirects are the registered redirect URIs. A segment * of a path stands for any one segment.
	Redirects []string
	// PublicURL is that of the deployment, for a [Person].
	PublicURL string
	// LinkRedirects are the redirect URIs, in the same form and of the platform Web, of every application
	// of Authority that has none of its own.
	LinkRedirects []string
	// FHIRUserClaim is the claim of the ID tokens of Authority's applications that says which FHIR resource
	// a user is: fhirUser, extension_<32 hexadecimal digits>_fhirUser, or extn.fhirUser, whose value is a
	// list then, as Entra writes that one.
	FHIRUserClaim string
	Users         []User
	Tenants       map[string]string // tenant ids by domain
	Now           func() time.Time  // nil: time.Now; the clock of the tokens

	mu     sync.Mutex
	answer Scenario
}

// New returns a site with the usual users, and with the redirect URIs of a deployment at publicURL, both
// of the API and of the applications of links.
func New(authority *entratest.Authority, address, publicURL, clientID string) *Site {
	return &Site{
		Authority: authority, URL: address, ClientID: clientID, Users: Users(), Now: authority.Now,
		Redirects: []string{
			publicURL + "/api/manage/signed-in", publicURL + "/api/manage/signed-out", publicURL + "/api/manage/consented",
			publicURL + "/api/smart/*/callback",
		},
		PublicURL: publicURL, LinkRedirects: []string{publicURL + "/api/smart/*/callback"}, FHIRUserClaim: "fhirUser",
		Tenants: map[string]string{ClinicDomain: Clinic, PartnerDomain: Partner},
	}
}

// Set makes every answer that of a scenario, until it is set again. A person can choose one, too.
func (s *Site) Set(answer Scenario) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *Site) scenario(chosen string) Scenario {
	s.mu.Lock()
	defer s.mu.Unlock()
	if chosen != "" {
		return Scenario(chosen)
	}
	return s.answer
}

func (s *Site) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP routes as Entra does: {tenant}/oauth2/v2.0/authorize, {tenant}/oauth2/v2.0/logout,
// {tenant}/adminconsent. A page of its own that is posted has the address of the page it stands on.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if "http://"+r.Host != s.URL && "https://"+r.Host != s.URL {
		s.page(w, http.StatusMisdirectedRequest, "message", view{Heading: "Wrong host", Text: "This site is " + s.URL + "."})
		return
	}
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	handle := map[string]func(http.ResponseWriter, *http.Request, string){
		"oauth2/v2.0/authorize": s.authorize, "oauth2/v2.0/logout": s.logout, "adminconsent": s.adminConsent,
	}[rest]
	if handle == nil || r.Method != http.MethodGet && r.Method != http.MethodPost {
		s.page(w, http.StatusNotFound, "message", view{Heading: "There is no such page", Text: "This is the sandbox Entra."})
		return
	}
	if r.ParseForm() != nil {
		s.refuse(w, http.StatusBadRequest, 900144, "The request is malformed.")
		return
	}
	id, known := s.tenant(tenant)
	if !known {
		s.refuse(w, http.StatusBadRequest, 90002, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
		return
	}
	handle(w, r, id)
}

// tenant returns the id of a tenant; "" is that of the account.
func (s *Site) tenant(name string) (id string, known bool) {
	name = strings.ToLower(name)
	if name == "organizations" || name == "common" {
		return "", true
	}
	if id, known := s.Tenants[name]; known {
		return id, true
	}
	return name, entra.IsGUID(name) && slices.ContainsFunc(s.Users, func(u User) bool { _, in := u.Members[name]; return in })
}

// registered reports whether a redirect URI of the API is registered.
func (s *Site) registered(redirect string) bool {
	return slices.ContainsFunc(s.Redirects, func(pattern string) bool { return matches(pattern, redirect) })
}

func matches(pattern, redirect string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(redirect, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		wild := want[i] == "*" && got[i] != "" && strings.Trim(got[i], ".") != "" && !strings.ContainsAny(got[i], `?#%\`)
		if want[i] != got[i] && !wild {
			return false
		}
	}
	return true
}

// signedIn returns the user who has signed in at this site before.
func (s *Site) signedIn(r *http.Request) (User, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return User{}, false
	}
	i := slices.IndexFunc(s.Users, func(u User) bool { return u.Members[u.Home].ObjectID == c.Value })
	if i < 0 {
		return User{}, false
	}
	return s.Users[i], true
}

func (s *Site) user(short string) (User, bool) {
	i := slices.IndexFunc(s.Users, func(u User) bool { return u.Short() == short })
	if i < 0 {
		return User{}, false
	}
	return s.Users[i], true
}

func remember(w http.ResponseWriter, u User) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: u.Members[u.Home].ObjectID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// logout signs the person out, and sends the browser back if the application asks for it. Entra asks
// which account is meant unless logout_hint says so.
func (s *Site) logout(w http.ResponseWriter, r *http.Request, _ string) {
	back := r.Form.Get("post_logout_redirect_uri")
	if back != "" && !s.registered(back) {
		back = "" // Entra stays on its own page
	}
	u, ok := s.signedIn(r)
	if ok && r.Method == http.MethodGet && !u.meantBy(r.Form.Get("logout_hint")) {
		s.page(w, http.StatusOK, "sign-out", view{Heading: "Which account do you want to sign out of?", Users: []User{u}, Action: r.URL.RequestURI()})
		return
	}
	forget(w)
	if back == "" {
		s.page(w, http.StatusOK, "message", view{Heading: "You signed out of your account", Text: "It's a good idea to close all browser windows."})
		return
	}
	http.Redirect(w, r, back, http.StatusFound)
}

// adminConsent asks an administrator to approve the application for the organization.
func (s *Site) adminConsent(w http.ResponseWriter, r *http.Request, tenant string) {
	back, err := url.Parse(r.URL.Query().Get("redirect_uri"))
	switch {
	case r.URL.Query().Get("client_id") != s.ClientID:
		s.refuse(w, http.StatusBadRequest, 700016, "Application with identifier '"+r.URL.Query().Get("client_id")+"' was not found in the directory.")
		return
	case err != nil || !s.registered(back.String()):
		s.refuse(w, http.StatusBadRequest, 50011, "The redirect URI specified in the request does not match the redirect URIs configured for the application '"+s.ClientID+"'.")
		return
	case r.Method == http.MethodGet:
		s.page(w, http.StatusOK, "consent", view{Heading: "Permissions requested", Text: "Review for your organization", Action: r.URL.RequestURI()})
		return
	}
	query := url.Values{"admin_consent": {"True"}, "tenant": {tenant}}
	if r.PostForm.Get("accept") == "" {
		query = url.Values{"error": {"access_denied"}, "error_subcode": {"cancel"}, "error_description": {s.Authority.Description(65004, declined)}}
	} else {
		s.Set("") // nobody has to miss the consent any more
	}
	if state := r.URL.Query().Get("state"); state != "" {
		query.Set("state", state)
	}
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}
