package launch

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"fhirlink/shared/oauth"
	"fhirlink/shared/paste"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/redirect"
)

// Bounds of what an app asks for (contract-smart.md §6).
const (
	maxState      = 2 << 10 // bytes
	maxScopeBytes = 8 << 10
	maxText       = 512 // of nonce and login_hint
)

// Codes of errors that are redirected to the app, beside those of RFC 6749 in package oauth.
const (
	accessDenied            = "access_denied"             // RFC 6749 §4.1.2.1
	unsupportedResponseType = "unsupported_response_type" // RFC 6749 §4.1.2.1
	requestNotSupported     = "request_not_supported"     // OpenID Connect Core §3.1.2.6
	requestURINotSupported  = "request_uri_not_supported"
)

// Shown is an error that is shown to the user here, because it is not known that an address to redirect
// to is the app's.
type Shown struct {
	Code   string // unknown_app, app_disabled, unknown_redirect_uri or malformed_request
	Detail string
}

// Error returns the detail.
func (e *Shown) Error() string { return e.Detail }

// Refused is an error that the app is told of at its redirect URI.
type Refused struct {
	Code        string
	Description string // repeats nothing of the request but scopes that were checked
	RedirectURI string
	State       string
	Issuer      string // iss of RFC 9207, if the app wants it; else empty
	Cause       error  // for the log only
}

// Unwrap returns the cause.
func (e *Refused) Unwrap() error { return e.Cause }

// Error returns the code, the description and the cause.
func (e *Refused) Error() string {
	text := e.Code + ": " + e.Description
	if e.Cause != nil {
		text += " " + e.Cause.Error()
	}
	return text
}

// Location is the address that the browser is sent to.
func (e *Refused) Location() string {
	return redirect.WithQuery(e.RedirectURI, [][2]string{{"error", e.Code}, {"error_description", oauth.Plain(e.Description)}, {"state", e.State}, {"iss", e.Issuer}})
}

// ask is what an app asks for, checked.
type ask struct {
	App         smartauth.App
	RedirectURI string
	State       string
	Asked       int      // how many scopes are asked for
	Scopes      []string // cut to what the app may have, in the order and spelling of the request
	Audience    string   // the FHIR base that the app knows the server by
	Upstream    []string // scopes of Entra's access token, in its spelling
	Launch      string   // what an EHR has opened the app with; empty: the app was started by itself
	Challenge   string   // of PKCE (S256); empty: none
	Nonce       string
	Prompt      string
	LoginHint   string
}

// offline reports whether a refresh token is asked for.
func (a ask) offline() bool {
	return slices.Contains(a.Scopes, "offline_access") || slices.Contains(a.Scopes, "online_access")
}

var (
	challengeSyntax = paste.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	// looksEncoded is a scope for data as Entra's dialects spell it.
	looksEncoded = paste.MustCompile(`^(?:patient|user|system)[^A-Za-z0-9/]`)
	prompts      = []string{"", "none", "login", "consent", "select_account"}
)

// parameters are those of an authorization request. Others are ignored (RFC 6749 §3.1).
var parameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "aud", "resource", "code_challenge", "code_challenge_method", "launch", "nonce", "login_hint", "prompt", "response_mode", "request", "request_uri",
}

// ask reads an authorization request. issuer is that of the server. Errors: *Shown, *Refused.
func (s server) ask(values url.Values, issuer string) (ask, error) {
	app, redirectURI, err := s.who(values)
	if err != nil {
		return ask{}, err
	}
	a := ask{
		App: app, RedirectURI: redirectURI, State: values.Get("state"), Challenge: values.Get("code_challenge"), Nonce: values.Get("nonce"), Prompt: values.Get("prompt"), LoginHint: values.Get("login_hint"), Launch: values.Get("launch"),
	}
	refuse := func(code, description string) error {
		r := &Refused{Code: code, Description: description, RedirectURI: redirectURI, State: a.State}
		if len(values["state"]) != 1 || len(a.State) > maxState {
			r.State = "" // which of them would be a guess
		}
		if app.AuthorizationResponseIss {
			r.Issuer = issuer
		}
		return r
	}
	if code, description := s.wrong(values, app); code != "" {
		return ask{}, refuse(code, description)
	}
	a.Audience = strings.TrimSuffix(firstOf(values, "aud", "resource"), "/")
	scopes, description := s.cut(values.Get("scope"), app, a.Launch != "")
	if description != "" {
		return ask{}, refuse(oauth.InvalidScope, description)
	}
	if asksForData(smart.Split(values.Get("scope"))) && !asksForData(scopes) {
		return ask{}, refuse(accessDenied, s.noneOf(smart.Split(values.Get("scope"))))
	}
	a.Scopes, a.Asked = scopes, len(smart.Split(values.Get("scope")))
	if a.Upstream, description = s.upstream(app, scopes); description != "" {
		return ask{}, refuse(oauth.InvalidScope, description)
	}
	return a, nil
}

// who returns the app, and where it is answered. Error: *Shown.
func (s server) who(values url.Values) (smartauth.App, string, error) {
	clients, uris := values["client_id"], values["redirect_uri"]
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(values[name]) == 0 {
			return smartauth.App{}, "", &Shown{"malformed_request", "The app did not send the parameter " + name + ". Tell its maker."}
		}
		if len(values[name]) > 1 {
			return smartauth.App{}, "", &Shown{"malformed_request", "The app sent the parameter " + name + " more than once. Tell its maker."}
		}
	}
	app, ok := s.App(clients[0])
	switch {
	case !ok:
		return smartauth.App{}, "", &Shown{"unknown_app", "This app is not registered with the organization that you want to sign in to. Tell the app's maker, or the organization."}
	case app.Disabled:
		return smartauth.App{}, "", &Shown{"app_disabled", "The organization has switched this app off. Ask it why."}
	case !app.Redirects(uris[0]):
		return smartauth.App{}, "", &Shown{"unknown_redirect_uri", "The app asked to be answered at an address that is not registered for it. For your safety nothing is sent there. Tell the app's maker: the redirect_uri must be a registered one byte for byte, also in its scheme, its port and a slash at its end."}
	}
	return app, uris[0], nil
}

// wrong says what is wrong with the parameters besides scope; an empty code: nothing.
func (s server) wrong(values url.Values, app smartauth.App) (code, description string) {
	for _, name := range parameters {
		if len(values[name]) > 1 {
			return oauth.InvalidRequest, "The parameter " + name + " stands more than once in the request."
		}
	}
	if !app.May(smartauth.AuthorizationCode) {
		return oauth.UnauthorizedClient, "The app is registered as a backend service only, for which no user signs in. The organization decides what it may use."
	}
	state, challenge, method := values.Get("state"), values.Get("code_challenge"), values.Get("code_challenge_method")
	switch {
	case state == "":
		return oauth.InvalidRequest, "The parameter state is missing: it protects the app from answers to requests that it did not make."
	case len(state) > maxState:
		return oauth.InvalidRequest, fmt.Sprintf("The parameter state is longer than %d bytes.", maxState)
	case values.Has("request"):
		return requestNotSupported, "Send the parameters by themselves: the parameter request is not supported."
	case values.Has("request_uri"):
		return requestURINotSupported, "Send the parameters by themselves: the parameter request_uri is not supported."
	case values.Get("response_type") == "":
		return oauth.InvalidRequest, "The parameter response_type is missing. Send response_type=code."
	case values.Get("response_type") != "code":
		return unsupportedResponseType, "Only response_type=code is supported."
	case len(smart.Split(values.Get("scope"))) == 0:
		return oauth.InvalidRequest, "The parameter scope is missing."
	case values.Get("response_mode") != "" && values.Get("response_mode") != "query":
		return oauth.InvalidRequest, "Only response_mode=query is supported."
	case !slices.Contains(prompts, values.Get("prompt")):
		return oauth.InvalidRequest, "The parameter prompt must be one of none, login, consent and select_account."
	case len(values.Get("nonce")) > maxText || len(values.Get("login_hint")) > maxText:
		return oauth.InvalidRequest, fmt.Sprintf("The parameters nonce and login_hint may have %d bytes.", maxText)
	case challenge == "" && method != "":
		return oauth.InvalidRequest, "The parameter code_challenge is missing."
	case challenge != "" && method == "":
		return oauth.InvalidRequest, "The parameter code_challenge_method is missing. Send code_challenge_method=S256."
	case challenge != "" && method != "S256":
		return oauth.InvalidRequest, "Only code_challenge_method=S256 is supported."
	case challenge == "" && !app.PKCEOptional:
		return oauth.InvalidRequest, "The parameters code_challenge and code_challenge_method=S256 are missing: this app must use PKCE."
	case challenge != "" && !challengeSyntax.MatchString(challenge):
		return oauth.InvalidRequest, "With S256 the parameter code_challenge is base64url(SHA-256(code_verifier)): 43 characters, without =."
	}
	return s.wrongAudience(values)
}

// wrongAudience checks that the app will use the token at this link's FHIR server: another one could not
// be trusted with it (SMART App Launch 2.2, "aud").
func (s server) wrongAudience(values url.Values) (code, description string) {
	aud, resource := values.Get("aud"), values.Get("resource")
	switch asked := firstOf(values, "aud", "resource"); {
	case asked == "":
		return oauth.InvalidRequest, "The parameter aud is missing. Send the base URL of the FHIR server."
	case aud != "" && resource != "" && aud != resource:
		return oauth.InvalidRequest, "The parameters aud and resource differ."
	case !slices.Contains(s.BaseURLs(), strings.TrimSuffix(asked, "/")):
		return oauth.InvalidRequest, "The parameter aud is not the base URL of the FHIR server that this authorization server is for. Send " + s.Link.FHIRServerURL + ", without anything behind it."
	}
	return "", ""
}

func firstOf(values url.Values, names ...string) string {
	for _, name := range names {
		if value := values.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// cut leaves of the scopes that are asked for those that the app may have, without repetitions. The scope
// launch is left out if the app was started by itself: then there is no launch whose context it could get.
// description says why none can be granted; empty: some can.
func (s server) cut(asked string, app smartauth.App, launched bool) (scopes []string, description string) {
	all, description := splitScopes(asked)
	if description != "" {
		return nil, description
	}
	scopes = slices.DeleteFunc(within(app.Scopes, all), func(one string) bool { return one == "launch" && !launched })
	switch {
	case len(scopes) == 0 && slices.Contains(all, "launch") && !launched:
		return nil, s.noneOf(all) + " The scope launch needs the parameter launch, which an app has that an EHR has opened."
	case len(scopes) == 0:
		return nil, s.noneOf(all)
	}
	return scopes, s.mixed(scopes)
}

// noneOf says of scopes which were checked that the app may have none of them, and what may be wrong.
func (s server) noneOf(scopes []string) string {
	first := scopes[0]
	if i := slices.IndexFunc(scopes, func(one string) bool { return isData(smart.Parse(one)) }); i >= 0 {
		first = scopes[i]
	}
	hint := ""
	switch {
	case strings.Contains(first, ","):
		hint = " Scopes are separated by spaces, not by commas."
	case strings.ContainsAny(first, "+%"):
		hint = " The parameter looks as if it had been encoded twice."
	case strings.ToLower(first) != first && smart.Parse(first).Kind == smart.Custom:
		hint = " Scopes are case-sensitive: write patient/Observation.rs."
	case looksEncoded.MatchString(first):
		hint = " Write it as SMART does, with a slash: patient/Observation.rs."
	}
	asked := "what it asks for."
	if smart.Parse(first).Kind == smart.Resource { // others may be anybody's text, and so may be a query
		name, _, _ := strings.Cut(first, "?")
		asked = name + ", nor for anything else of what it asks for."
	}
	return "The app is not registered for " + asked + hint + " The organization decides what the app may have."
}

// splitScopes reads the parameter scope. description says what is wrong with it; empty: nothing.
func splitScopes(asked string) (scopes []string, description string) {
	if len(asked) > maxScopeBytes {
		return nil, tooManyScopes()
	}
	scopes = smart.Split(asked)
	if len(scopes) > smartauth.MaxScopes {
		return nil, tooManyScopes()
	}
	for i, one := range scopes {
		switch {
		case !oauth.IsScope(one):
			return nil, "A scope has a character that scopes cannot have, or is longer than 512 characters."
		case !smart.Parse(one).WellFormed():
			return nil, fmt.Sprintf("The scope at place %d is malformed: write it as patient/Observation.rs, with the letters in the order cruds, or patient/Observation.read.", i+1)
		}
	}
	return scopes, ""
}

func tooManyScopes() string {
	return fmt.Sprintf("The request has more than %d scopes, or more than %d bytes of them. Use wildcards such as patient/*.rs.", smartauth.MaxScopes, maxScopeBytes)
}

// within leaves of some scopes those that are covered by what may be had, in their order and spelling,
// without repetitions.
func within(may, scopes []string) (kept []string) {
	parsed := make([]smart.Scope, len(may))
	for i, one := range may {
		parsed[i] = smart.Parse(one)
	}
	for _, one := range scopes {
		if slices.Contains(kept, one) {
			continue
		}
		wanted := smart.Parse(one)
		if slices.Contains(may, one) || slices.ContainsFunc(parsed, func(a smart.Scope) bool { return smart.Covers(a, wanted) }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// asksForData reports whether a scope is among others that lets an app at data.
func asksForData(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(one string) bool { return isData(smart.Parse(one)) })
}

// mixed says what is mixed that the FHIR server takes from one token only: contexts, or versions of the
// scopes' syntax. Empty: nothing, or the server takes it.
func (s server) mixed(scopes []string) (description string) {
	if s.OneContext() && smartauth.Mixed(scopes) {
		return "The FHIR server refuses tokens that mix patient/, user/ and system/ scopes, or scopes of SMART version 1 and 2. Ask for one kind only."
	}
	return ""
}
