package launch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// Grant types of the token endpoint (RFC 6749 §4.1.3, §6).
const (
	byCodeGrant    = "authorization_code"
	byRefreshGrant = "refresh_token"
)

// TokenAnswer is the answer of the token endpoint (RFC 6749 §5.1; SMART App Launch 2.2, "Response").
type TokenAnswer struct {
	private

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
	Tenant            string `json:"tenant,omitempty"`

	client string // the app's client id, for the log: a public app may leave it out
}

// tokenParameters are those of the token endpoint that may stand once. Others are ignored.
var tokenParameters = []string{
	"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
}

// asked is a request for a token: who asks for what.
type asked struct {
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
	credentials, err := ReadCredentials(authorization, form)
	if err == nil {
		answer, err = s.exchange(ctx, server, credentials, grantType, form)
	}
	s.logToken(ctx, slug, credentials, grantType, form, answer, err)
	return answer, err
}

// grantTypeOf checks what must be right of a form before it is known who has sent it.
func grantTypeOf(form url.Values) (string, error) {
	if err := onceEach(form, tokenParameters); err != nil {
		return "", err
	}
	switch grantType := form.Get("grant_type"); grantType {
	case "":
		return "", invalidRequest("The parameter grant_type is missing.")
	case byCodeGrant, byRefreshGrant:
		return grantType, nil
	}
	return "", &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "Only the grant types authorization_code and refresh_token are supported."}
}

func onceEach(form url.Values, names []string) error {
	for _, name := range names {
		if len(form[name]) > 1 {
			return invalidRequest("The parameter " + name + " stands more than once in the request.")
		}
	}
	return nil
}

func (s *Service) exchange(ctx context.Context, server server, c Credentials, grantType string, form url.Values) (TokenAnswer, error) {
	if grantType == byRefreshGrant {
		return s.refresh(ctx, server, c, form)
	}
	app, err := c.app(server, s.Now())
	if err != nil {
		return TokenAnswer{}, err
	}
	return s.byCode(ctx, asked{server, app, form})
}

// byCode exchanges a code. The writes: the grant, its place in the list of grants, and the code last, which
// commits. Whatever fails before that leaves the code as it was, and a grant that nobody can use.
func (s *Service) byCode(ctx context.Context, q asked) (TokenAnswer, error) {
	text, isCode := strings.CutPrefix(q.form.Get("code"), codePrefix)
	switch {
	case q.form.Get("code") == "":
		return TokenAnswer{}, invalidRequest("The parameter code is missing.")
	case !isCode:
		return TokenAnswer{}, invalidGrant("The code is not one of this authorization server.")
	}
	kept, row, err := handle.Look[code](ctx, s.handles(), handle.Code, handle.Handle(text), q.server.Link.ID)
	switch {
	case errors.Is(err, handle.ErrUsed): // somebody else has it, too
		return TokenAnswer{}, s.replayed(ctx, q.server, row)
	case errors.Is(err, handle.ErrUnknown), errors.Is(err, handle.ErrEnded):
		return TokenAnswer{}, invalidGrant("The code is not known, or its two minutes are over. Begin again with authorize.")
	case err != nil:
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	if err := kept.check(q); err != nil {
		return TokenAnswer{}, err
	}
	ends := s.ends(q.server, kept.Grant)
	g := handle.NewGrant(ends)
	grant, refreshToken, err := s.newGrant(ctx, q.server, kept, g, ends)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	answer, err := s.sign(ctx, q, kept.Grant.named(g))
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

// check makes sure that a code is used by whom it was made for, in the way that was announced.
func (c code) check(q asked) error {
	verifier := q.form.Get("code_verifier")
	switch {
	case c.SettingsID != q.server.Settings.ID || c.AppID != q.app.ID || c.ClientID != q.app.ClientID:
		return invalidGrant("The code is not known, or its two minutes are over. Begin again with authorize.")
	case q.form.Get("redirect_uri") != c.RedirectURI:
		return invalidGrant("The parameter redirect_uri is not that of the request for the code.")
	case c.Challenge == "" && verifier != "":
		return invalidGrant("The request for the code had no code_challenge, and this one has a code_verifier: the code may be another's.")
	case c.Challenge != "" && !verifies(verifier, c.Challenge):
		return invalidGrant("The parameter code_verifier does not belong to the code_challenge of the request for the code.")
	}
	return nil
}

// verifies reports whether a code_verifier has a challenge (S256, RFC 7636 §4.6).
func verifies(verifier, challenge string) bool {
	const shortest, longest = 43, 128
	sum := sha256.Sum256([]byte(verifier))
	return len(verifier) >= shortest && len(verifier) <= longest && same(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}

// commit stores a grant, and spends its code.
func (s *Service) commit(ctx context.Context, server server, code store.Row, g handle.Grant, grant grantRow) error {
	if swapped, err := s.swapGrant(ctx, store.Row{Key: g.Key()}, grant); err != nil || !swapped {
		return smartauth.Unavailable(cmpErr(err, errChanged))
	}
	if grant.Box != "" {
		if _, swapped, err := s.Rows.Swap(ctx, store.Row{Key: g.Index(grant.Slug, grant.ObjectID)}, grant.Link); err != nil || !swapped {
			return smartauth.Unavailable(cmpErr(err, errChanged))
		}
	}
	err := s.handles().Spend(ctx, code, g.String())
	if err == nil {
		return nil
	}
	if errors.Is(err, handle.ErrUsed) { // somebody else has exchanged it meanwhile
		if killErr := s.kill(ctx, server, g); killErr != nil {
			return smartauth.Unavailable(killErr)
		}
		if row, readErr := s.Rows.Row(ctx, code.Key); readErr == nil {
			return s.replayed(ctx, server, row)
		}
	}
	return smartauth.Unavailable(err)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// replayed ends the grant that a code has led to, when somebody presents the code again (RFC 6749 §4.1.2).
func (s *Service) replayed(ctx context.Context, server server, code store.Row) error {
	if g, ok := handle.ReadGrant(handle.Left(code)); ok {
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

// sign makes the answer with an access token.
func (s *Service) sign(ctx context.Context, q asked, g Grant) (TokenAnswer, error) {
	now, issuer, settings := s.Now(), s.Servers.Issuer(string(q.server.Link.Slug)), q.server.Settings
	claims, ok := q.server.accessToken(issuer, uuid.NewString(), q.app, g, now)
	if !ok {
		return TokenAnswer{}, &oauth.Error{Code: oauth.InvalidScope, Description: "The access token would be larger than servers take. Ask for fewer scopes, or use wildcards such as patient/*.rs."}
	}
	access, err := s.Signer.Sign(ctx, "at+jwt", claims)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	answer := TokenAnswer{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(settings.TokenSeconds), Scope: strings.Join(g.Scopes, " "),
		Patient: g.Context.Patient, Encounter: g.Context.Encounter,
		client: q.app.ClientID, NeedPatientBanner: settings.Context.NeedPatientBanner, SmartStyleURL: settings.Context.SmartStyleURL, Tenant: settings.Context.Tenant,
	}
	return answer, nil
}

func invalidGrant(description string) error {
	return &oauth.Error{Code: oauth.InvalidGrant, Description: description}
}

// logToken counts scopes, and names none.
func (s *Service) logToken(ctx context.Context, slug string, c Credentials, grantType string, form url.Values, answer TokenAnswer, err error) {
	outcome := "ok"
	var told *oauth.Error
	switch {
	case errors.As(err, &told):
		outcome = told.Code
	case err != nil:
		outcome = oauth.Unavailable
	}
	eventlog.Log(ctx, s.Log, slog.LevelInfo, "smart.token",
		slog.String("link", slug), slog.String("client", cmp.Or(answer.client, loggable(c.ClientID))), slog.String("grantType", grantType), slog.String("auth", c.way()), slog.String("outcome", outcome),
		slog.Int("requested", len(strings.Fields(form.Get("scope")))), slog.Int("granted", len(strings.Fields(answer.Scope))), slog.Int("aadsts", numberOf(err)))
}

// numberOf is Entra's number in an error, for the log; 0: there is none.
func numberOf(err error) int {
	var refusal *entra.Refusal
	if errors.As(err, &refusal) {
		return refusal.Number
	}
	return 0
}

// loggable is a client id that an app can have; others are somebody's text.
func loggable(clientID string) string {
	if smartauth.IsClientID(clientID) {
		return clientID
	}
	return ""
}

// expired is for grants and access tokens: their time is over.
func expired(unix int64, now time.Time) bool { return !now.Before(time.Unix(unix, 0)) }

// narrowed returns what an app asks for of what it was granted, in its own spelling; ok is false if it asks
// for more. What lets it refresh stays: it gets a refresh token all the same.
func narrowed(granted []string, asked string) (scopes []string, ok bool) {
	wanted := strings.Fields(asked)
	if len(wanted) == 0 {
		return granted, true
	}
	for _, one := range wanted {
		if !covered(granted, one) {
			return nil, false
		}
		if !slices.Contains(scopes, one) {
			scopes = append(scopes, one)
		}
	}
	for _, one := range granted {
		if (one == "offline_access" || one == "online_access") && !slices.Contains(scopes, one) {
			scopes = append(scopes, one)
		}
	}
	return scopes, true
}
