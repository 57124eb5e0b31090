package launch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/store"
)

// Grant types of the token endpoint (RFC 6749 §4.1.3, §6, §4.4.2).
const (
	byCodeGrant    = string(smartauth.AuthorizationCode)
	byRefreshGrant = "refresh_token"
	backendGrant   = string(smartauth.ClientCredentials)
)

// TokenAnswer is the answer of the token endpoint (RFC 6749 §5.1; SMART App Launch 2.2, "Response").
type TokenAnswer struct {
	secret.Hidden

	AccessToken       string `json:"access_token"`
	TokenType         string `json:"token_type"`
	ExpiresIn         int64  `json:"expires_in"`
	Scope             string `json:"scope"`
	RefreshToken      string `json:"refresh_token,omitempty"`
	IDToken           string `json:"id_token,omitempty"`
	Patient           string `json:"patient,omitempty"`
	Encounter         string `json:"encounter,omitempty"`
	NeedPatientBanner *bool  `json:"need_patient_banner,omitempty"`
	SmartStyleURL     string `json:"smart_style_url,omitempty"`
	GrantedExtra      string `json:"granted_extra,omitempty"` // scopes of Entra's token that were not granted
	Tenant            string `json:"tenant,omitempty"`

	FHIRContext []json.RawMessage `json:"fhirContext,omitempty"`
	Intent      string            `json:"intent,omitempty"`

	extra  int    // how many scopes of Entra's token were not granted
	client string // the app's client id, for the log: a public app may leave it out
}

// tokenParameters are those of the token endpoint that may stand once. Others are ignored.
var tokenParameters = []string{
	"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
}

// asked is a request for a token: who asks for what.
type asked struct {
	secret.Hidden // the form has a client secret or an assertion

	server server
	app    smartauth.App
	form   url.Values
}

// Token exchanges a code or a refresh token. authorization is the header of that name. Errors:
// smartauth.ErrUnknown, *oauth.Error, and UpstreamUnavailable.
func (s *Service) Token(ctx context.Context, slug string, authorization []string, form url.Values) (answer TokenAnswer, err error) {
	server, err := s.server(ctx, slug)
	if err != nil {
		return TokenAnswer{}, err
	}
	grantType, err := grantTypeOf(form)
	if err != nil {
		return TokenAnswer{}, err
	}
	credentials, err := client.Read(authorization, form)
	if err == nil {
		answer, err = s.exchange(ctx, server, credentials, grantType, form)
		err = signAnew(credentials, err)
	}
	s.logToken(ctx, server, credentials, grantType, form, answer, err)
	return answer, err
}

// grantTypeOf checks what must be right of a form before it is known who has sent it.
func grantTypeOf(form url.Values) (string, error) {
	if err := onceEach(form, tokenParameters); err != nil {
		return "", err
	}
	switch grantType := form.Get("grant_type"); grantType {
	case "":
		return "", invalidRequest("The parameter grant_type is missing from the body; the query is not read.")
	case byCodeGrant, byRefreshGrant, backendGrant:
		return grantType, nil
	}
	return "", &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "Only the grant types authorization_code, refresh_token and client_credentials are supported."}
}

func onceEach(form url.Values, names []string) error {
	for _, name := range names {
		if len(form[name]) > 1 {
			return invalidRequest("The parameter " + name + " stands more than once in the request.")
		}
	}
	return nil
}

func (s *Service) exchange(ctx context.Context, server server, c client.Credentials, grantType string, form url.Values) (TokenAnswer, error) {
	if grantType == byRefreshGrant {
		return s.refresh(ctx, server, c, form)
	}
	app, err := s.clients.App(ctx, server.Server, c)
	switch {
	case err != nil:
		return TokenAnswer{}, err
	case !app.May(smartauth.GrantType(grantType)):
		return TokenAnswer{}, &oauth.Error{Code: oauth.UnauthorizedClient, Description: "The client is not registered for the grant type " + grantType + ". The organization decides what it may use."}
	case grantType == backendGrant:
		return s.backend(ctx, asked{server: server, app: app, form: form})
	}
	return s.byCode(ctx, asked{server: server, app: app, form: form})
}

// byCode exchanges a code. The writes: the grant, its place in the list of grants, and the code last, which
// commits. Whatever fails before that leaves the code as it was, and a grant that nobody can use: the code names it, so
// the next exchange overwrites it.
func (s *Service) byCode(ctx context.Context, q asked) (TokenAnswer, error) {
	text, isCode := strings.CutPrefix(q.form.Get("code"), codePrefix)
	switch {
	case q.form.Get("code") == "":
		return TokenAnswer{}, invalidRequest("The parameter code is missing.")
	case q.form.Get("redirect_uri") == "":
		return TokenAnswer{}, invalidRequest("The parameter redirect_uri is missing. Send that of the request for the code once more.")
	case !isCode:
		return TokenAnswer{}, invalidGrant("The code is not one of this authorization server.")
	}
	kept, row, err := handle.Look[code](ctx, s.handles(), handle.Code, handle.Handle(text), q.server.Link.ID)
	used := errors.Is(err, handle.ErrUsed)
	switch {
	case errors.Is(err, handle.ErrUnknown), errors.Is(err, handle.ErrEnded), (err == nil || used) && !kept.isFor(q):
		return TokenAnswer{}, invalidGrant("The code is not known, belongs to another client than the request names, or its two minutes are over. Begin again with authorize.")
	case used: // somebody else has it, too
		return TokenAnswer{}, s.replayed(ctx, q.server, row)
	case err != nil:
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	if err := kept.check(q); err != nil {
		return TokenAnswer{}, err
	}
	asked := kept.Grant.Scopes
	if kept.Grant.Scopes = within(q.app.Scopes, asked); len(kept.Grant.Scopes) == 0 || asksForData(asked) && !asksForData(kept.Grant.Scopes) {
		return TokenAnswer{}, invalidGrant("The app may no longer have what the user granted. Begin again with authorize.")
	}
	g := handle.GrantOf(handle.Handle(text), kept.GrantEnds)
	grant, refreshToken, err := s.newGrant(ctx, q.server, kept, g)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	answer, err := s.answer(ctx, q, kept.Grant.named(g), kept.Upstream)
	if err != nil {
		return TokenAnswer{}, err
	}
	if kept.Grant.has("openid") {
		claims := q.server.idToken(s.Servers.Issuer(string(q.server.Link.Slug)), q.app, kept.Grant, string(kept.Nonce), s.Now())
		if answer.IDToken, err = s.Signer.Sign(ctx, "JWT", claims); err != nil {
			return TokenAnswer{}, smartauth.Unavailable(err)
		}
	}
	answer.RefreshToken = refreshToken.Reveal()
	if err := s.commit(ctx, q.server, row, g, grant); err != nil {
		return TokenAnswer{}, err
	}
	return answer, nil
}

// isFor reports whether a code was made for an app as it is now.
func (c code) isFor(q asked) bool {
	return q.server.signsInBy(q.app, c.EntraClientID) && c.SettingsID == q.server.Settings.ID && c.Served == q.server.served() && c.AppID == q.app.ID && c.ClientID == q.app.ClientID && q.app.Redirects(c.RedirectURI)
}

// check makes sure that a code is used in the way that was announced.
func (c code) check(q asked) error {
	verifier := q.form.Get("code_verifier")
	switch {
	case q.form.Get("redirect_uri") != c.RedirectURI:
		return invalidGrant("The parameter redirect_uri is not that of the request for the code.")
	case c.Challenge != "" && verifier == "":
		return invalidGrant("The parameter code_verifier is missing: the request for the code had a code_challenge.")
	case c.Challenge == "" && verifier != "":
		return invalidGrant("The request for the code had no code_challenge, and this one has a code_verifier: the code may be another's.")
	case c.Challenge != "" && !oauth.Verifies(verifier, c.Challenge):
		return invalidGrant("The parameter code_verifier does not belong to the code_challenge of the request for the code, which is base64url(SHA-256(code_verifier)) without =.")
	}
	return nil
}

// commit stores a grant, and spends its code. If it cannot spend the code, it gives the grant up; if the process ends
// before that, nobody has the refresh token. Either way, the next exchange of the code may overwrite the grant.
func (s *Service) commit(ctx context.Context, server server, spent store.Row, g handle.Grant, grant grantRow) error {
	placed, err := s.place(ctx, spent, g, grant)
	if err == nil && grant.Box != "" {
		_, _, err = s.Rows.Swap(ctx, store.Row{Key: g.Index(grant.Slug, grant.ObjectID)}, grant.Link) // one that is there says the same
	}
	if err == nil {
		err = s.handles().Spend(ctx, spent, g.String())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, handle.ErrUsed): // somebody else has exchanged it meanwhile
		row, err := s.Rows.Row(ctx, spent.Key)
		if err != nil {
			return smartauth.Unavailable(err)
		}
		return s.replayed(ctx, server, row)
	case placed.Version != "":
		s.giveUp(ctx, placed, grant)
	}
	return smartauth.Unavailable(err)
}

// place stores a new grant, also over one to which the same code has led while that is not spent: then nobody can have
// used the grant. Errors: [handle.ErrUsed] if the code is spent, and those of the store.
func (s *Service) place(ctx context.Context, spent store.Row, g handle.Grant, grant grantRow) (placed store.Row, err error) {
	row := store.Row{Key: g.Key()}
	for range attempts {
		next, swapped, err := s.swapGrant(ctx, row, grant)
		if swapped {
			return next, nil
		}
		if err == nil {
			row, err = s.Rows.Row(ctx, row.Key)
		}
		var code store.Row // read after the grant: if both change in between, the next swap fails
		if err == nil {
			code, err = s.Rows.Row(ctx, spent.Key)
		}
		if err == nil && code.Version != spent.Version {
			err = handle.ErrUsed
		}
		if err != nil {
			return store.Row{}, err
		}
	}
	return store.Row{}, errChanged
}

// giveUp marks a grant whose code could not be spent, also if the client does not wait for that. If this fails, the
// grant stays alive until its end, and nobody can use it.
func (s *Service) giveUp(ctx context.Context, row store.Row, grant grantRow) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	grant.State, grant.Box = givenUp, ""
	_, _, _ = s.swapGrant(ctx, row, grant) // or the next exchange of the code has overwritten it
}

// replayed ends the grant that a code has led to, when somebody presents the code again (RFC 6749 §4.1.2).
func (s *Service) replayed(ctx context.Context, server server, spent store.Row) error {
	if g, ok := handle.ReadGrant(handle.Left(spent)); ok {
		if err := s.kill(ctx, server, g); err != nil {
			return smartauth.Unavailable(err)
		}
	}
	return invalidGrant("The code was exchanged before. For safety, what came of it has ended. Begin again with authorize.")
}

// named returns the grant with its name.
func (g Grant) named(as handle.Grant) Grant {
	g.ID = as.String()
	return g
}

// answer makes the answer for a user: with Entra's access token, or one of ours.
func (s *Service) answer(ctx context.Context, q asked, g Grant, t upstreamToken) (TokenAnswer, error) {
	if q.server.ofEntra() {
		return s.handOn(q, g, t), nil
	}
	return s.sign(ctx, q, g, q.server.tokenLife())
}

// sign makes the answer with an access token that is good for life.
func (s *Service) sign(ctx context.Context, q asked, g Grant, life time.Duration) (TokenAnswer, error) {
	claims, ok := q.server.accessToken(s.Servers.Issuer(string(q.server.Link.Slug)), uuid.NewString(), q.app, g, s.Now(), life)
	if !ok {
		return TokenAnswer{}, &oauth.Error{Code: oauth.InvalidScope, Description: "The access token would be larger than servers take. Ask for fewer scopes, or use wildcards such as patient/*.rs."}
	}
	access, err := s.Signer.Sign(ctx, "at+jwt", claims)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	answer := q.answer(g)
	answer.AccessToken, answer.ExpiresIn = access, int64(life/time.Second)
	return answer, nil
}

// answer is the answer without its access token. Only users have a context.
func (q asked) answer(g Grant) TokenAnswer {
	constants := q.server.Settings.Context
	if g.User.ObjectID == "" {
		constants = smartauth.Context{}
	}
	return TokenAnswer{
		TokenType: "Bearer", Scope: strings.Join(g.Scopes, " "), Patient: g.Context.Patient, Encounter: g.Context.Encounter,
		NeedPatientBanner: cmp.Or(g.Context.NeedPatientBanner, constants.NeedPatientBanner), SmartStyleURL: cmp.Or(g.Context.SmartStyleURL, constants.SmartStyleURL), Tenant: cmp.Or(g.Context.Tenant, constants.Tenant),
		FHIRContext: g.Context.FHIRContext, Intent: g.Context.Intent,
		client: q.app.ClientID,
	}
}

func invalidRequest(description string) error {
	return &oauth.Error{Code: oauth.InvalidRequest, Description: description}
}

func invalidGrant(description string) error {
	return &oauth.Error{Code: oauth.InvalidGrant, Description: description}
}

// signAnew adds to a failure that may pass what a client must do which has signed an assertion: that is spent with the
// request, and would be refused the next time.
func signAnew(c client.Credentials, err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || !c.Signed() || p.Code != problem.UpstreamUnavailable {
		return err
	}
	told := *p
	told.Detail += " Sign a new client assertion for that: each counts once."
	return &told
}

// logToken counts scopes, and names none.
func (s *Service) logToken(ctx context.Context, server server, c client.Credentials, grantType string, form url.Values, answer TokenAnswer, err error) {
	eventlog.Log(ctx, s.Log, slog.LevelInfo, "smart.token",
		slog.String("link", string(server.Link.Slug)), slog.String("client", server.loggable(cmp.Or(answer.client, c.ClientID))), slog.String("grantType", grantType), slog.String("auth", c.Way()), slog.String("outcome", outcomeOf(err)),
		slog.Int("requested", len(strings.Fields(form.Get("scope")))), slog.Int("granted", len(strings.Fields(answer.Scope))), slog.Int("extra", answer.extra), slog.Int("aadsts", numberOf(err)), slog.String("jti", c.HashOfID()), slog.String("cause", causeOf(err)))
}

// causeOf is why the keys of an app could not be fetched, which the app is not told; empty: that was not it.
func causeOf(err error) string {
	if unreachable, ok := errors.AsType[*jwks.Unreachable](err); ok {
		return unreachable.Error()
	}
	return ""
}

// numberOf is Entra's number in an error, for the log; 0: there is none.
func numberOf(err error) int {
	if refusal, ok := errors.AsType[*entra.Refusal](err); ok {
		return refusal.Number
	}
	return 0
}

// loggable is the client id of an app that is registered. Any other is somebody's text, and may be a secret or a token
// that stands in the wrong place: those have the syntax of a client id.
func (s server) loggable(clientID string) string {
	if _, ok := s.App(clientID); ok {
		return clientID
	}
	return ""
}
