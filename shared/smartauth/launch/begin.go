package launch

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
)

// requestLife is how long a user may take at Entra.
const requestLife = 10 * time.Minute

// request is what is kept of an app's request, while the user is at Entra.
type request struct {
	secret.Hidden

	SettingsID  string // of the time for which SMART was switched on
	Served      string // the FHIR server and the tenant that the link had
	AppID       string
	ClientID    string
	RedirectURI string
	State       []byte // the app's, as it was sent
	Scopes      []string
	Asked       int // how many scopes it asked for
	Audience    string
	Challenge   string `json:",omitzero"`
	Nonce       []byte `json:",omitzero"` // the app's
	Issuer      string `json:",omitzero"` // iss of RFC 9207, if the app wants it
	Launch      string `json:",omitzero"` // what an EHR has opened the app with

	EntraClientID string   // of the application by which the user signs in
	Upstream      []string `json:",omitempty"` // what Entra was asked for besides
	EntraNonce    string
	EntraVerifier string // of our own PKCE
}

// Begun is a request for which the user is sent to Entra.
type Begun struct {
	secret.Hidden

	URL    string
	Cookie *http.Cookie // binds the request to the browser
}

// Authorize takes an authorization request, and sends the user to Entra. Nothing of the request travels with
// the browser but a handle. Errors: smartauth.ErrUnknown, *Shown, *Refused, and UpstreamUnavailable while it
// cannot be known whom to tell, or no token can be made.
func (s *Service) Authorize(ctx context.Context, slug string, values url.Values) (begun Begun, err error) {
	server, err := s.server(ctx, slug)
	if err != nil {
		return Begun{}, err
	}
	begun, err = s.begin(ctx, slug, server, values)
	s.logAuthorize(ctx, server, values, err)
	return begun, err
}

func (s *Service) begin(ctx context.Context, slug string, server server, values url.Values) (Begun, error) {
	issuer := s.Servers.Issuer(slug)
	ask, err := server.ask(values, issuer)
	if err != nil {
		return Begun{}, err
	}
	if _, err := s.Signer.Keys(ctx); err != nil { // nobody shall sign in for a token that cannot be made
		return Begun{}, smartauth.Unavailable(err)
	}
	client, ok := server.clientOf(ask.App)
	ends := s.Now().Add(requestLife)
	state := handle.New(ends)
	kept := request{
		SettingsID:  server.Settings.ID,
		Served:      server.served(),
		AppID:       ask.App.ID,
		ClientID:    ask.App.ClientID,
		RedirectURI: ask.RedirectURI,
		State:       []byte(ask.State),
		Scopes:      ask.Scopes,
		Asked:       ask.Asked,
		Audience:    ask.Audience,
		Challenge:   ask.Challenge,
		Nonce:       []byte(ask.Nonce),
		Launch:      ask.Launch,

		EntraClientID: client.ClientID,
		Upstream:      ask.Upstream,
		EntraNonce:    rand.Text(),
		EntraVerifier: newVerifier(),
	}
	if ask.App.AuthorizationResponseIss {
		kept.Issuer = issuer
	}
	if !ok {
		return Begun{}, kept.notRegistered()
	}
	if _, _, err := s.launchOf(ctx, server, ask.App, kept); err != nil { // nobody shall sign in for one that is over
		return Begun{}, err
	}
	address := s.Deps.Authorize(server.Link) + "?" + entraQuery(ask, kept, state, issuer).Encode()
	if len(address) > maxEntraURL {
		return Begun{}, kept.refuse(oauth.InvalidScope, "The scopes make the address at which Entra is asked too long. Ask for fewer, or the organization's administrator sets request to default.", nil)
	}
	if err := handle.Keep(ctx, s.handles(), handle.Request, state, server.Link.ID, ends, kept); err != nil {
		return Begun{}, kept.failed(smartauth.Unavailable(err))
	}
	return Begun{URL: address, Cookie: bind(state)}, nil
}

// logAuthorize counts scopes, and names none.
func (s *Service) logAuthorize(ctx context.Context, server server, values url.Values, err error) {
	eventlog.Log(ctx, s.Log, slog.LevelInfo, "smart.authorize",
		slog.String("link", string(server.Link.Slug)), slog.String("client", server.loggable(values.Get("client_id"))), slog.String("outcome", outcomeOf(err)), slog.Int("requested", len(smart.Split(values.Get("scope")))))
}

// outcomeOf is what an app or its user was told, for the log.
func outcomeOf(err error) string {
	var (
		told    *oauth.Error
		shown   *Shown
		refused *Refused
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &told):
		return told.Code
	case errors.As(err, &shown):
		return shown.Code
	case errors.As(err, &refused):
		return refused.Code
	}
	return oauth.Unavailable
}

// refuse tells the app of an error, at its redirect URI.
func (r request) refuse(code, description string, cause error) *Refused {
	return &Refused{Code: code, Description: description, RedirectURI: r.RedirectURI, State: string(r.State), Issuer: r.Issuer, Cause: cause}
}

// notRegistered tells the app that it lacks the registration in Entra which it needs.
func (r request) notRegistered() *Refused {
	return r.refuse(oauth.ServerError, "The registration of the app in Entra is not complete: the organization's administrator sends it again (the setting entra of the app).", nil)
}

// failed tells the app of a failure of ours, at its redirect URI.
func (r request) failed(err error) error {
	refused := r.refuse(oauth.ServerError, "The request could not be taken because of a fault on our side. Try again later.", err)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.UpstreamUnavailable {
		refused.Code, refused.Description = oauth.Unavailable, "A service that is needed does not answer. Try again in a few seconds."
	}
	return refused
}

// entraQuery is what Entra is asked for: to sign the user in, and with its own tokens for scopes of the FHIR
// server.
func entraQuery(ask ask, kept request, state handle.Handle, issuer string) url.Values {
	scope := "openid profile"
	if ask.offline() {
		scope += " offline_access" // Entra is asked at every refresh whether the user may still sign in
	}
	scope = strings.Join(append([]string{scope}, kept.Upstream...), " ")
	query := url.Values{
		"client_id": {kept.EntraClientID}, "response_type": {"code"}, "response_mode": {"query"}, "redirect_uri": {issuer + smartauth.CallbackPath}, "scope": {scope}, "state": {string(state)}, "nonce": {kept.EntraNonce},
		"code_challenge": {oauth.S256(kept.EntraVerifier)}, "code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{"prompt": ask.Prompt, "login_hint": ask.LoginHint} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// newVerifier is a code_verifier of 43 characters (RFC 7636 §4.1).
func newVerifier() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bind returns the cookie that binds a request to its browser.
func bind(state handle.Handle) *http.Cookie {
	return &http.Cookie{
		Name: state.Cookie(), Value: string(state), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(requestLife / time.Second),
	}
}
