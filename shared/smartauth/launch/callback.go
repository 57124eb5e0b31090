package launch

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/link"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/fhiruser"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/redirect"
)

// codeLife is how long an app may take to exchange a code.
const codeLife = 2 * time.Minute

// codePrefix begins every code, so that scanners recognize one.
const codePrefix = "flc_"

// code is what is kept of a sign-in until the app exchanges its code.
type code struct {
	secret.Hidden

	SettingsID  string
	Served      string
	AppID       string
	ClientID    string
	RedirectURI string
	Challenge   string `json:",omitzero"`
	Nonce       []byte `json:",omitzero"`
	Grant       Grant
	Refresh     string    `json:",omitzero"` // Entra's refresh token, if the app gets one of ours
	GrantEnds   time.Time // the latest; fixed here, so that every exchange of the code leads to the same grant

	EntraClientID string        // of the application by which the user signed in
	Upstream      upstreamToken `json:",omitzero"` // with Entra's tokens
}

// Answered is what the browser is sent back to the app with.
type Answered struct {
	secret.Hidden

	Location string
}

// Callback takes Entra's answer to a sign-in, and gives the app a code. cookie returns the value of the
// browser's cookie with a name. Errors: smartauth.ErrUnknown, *Shown, *Refused, and UpstreamUnavailable while
// it cannot be known whom to tell.
func (s *Service) Callback(ctx context.Context, slug string, query url.Values, cookie func(name string) string) (Answered, error) {
	server, err := s.server(ctx, slug)
	if err != nil {
		return Answered{}, err
	}
	state := handle.Handle(single(query, "state"))
	kept, row, err := handle.Look[request](ctx, s.handles(), handle.Request, state, server.Link.ID)
	switch {
	case errors.Is(err, handle.ErrUsed):
		return Answered{}, &Shown{"already_used", "This sign-in has been completed before. Go back to the app, and begin again there if it asks you to."}
	case errors.Is(err, handle.ErrEnded), errors.Is(err, handle.ErrUnknown) && state.Over(s.Now()):
		return Answered{}, &Shown{"request_expired", "The sign-in took longer than ten minutes. Go back to the app, and begin again there."}
	case single(query, "state") == "":
		return Answered{}, &Shown{"browser_mismatch", "This address is for the answer of a sign-in only. Open the app, and begin there."}
	case errors.Is(err, handle.ErrUnknown), err == nil && !same(cookie(state.Cookie()), string(state)):
		return Answered{}, &Shown{"browser_mismatch", "This sign-in began in another browser, or this browser keeps no cookies. Open the app in a window of its own, and begin again there."}
	case err != nil:
		return Answered{}, smartauth.Unavailable(err)
	}
	app, err := server.appOf(kept)
	if err != nil {
		return Answered{}, err
	}
	switch err := s.handles().Spend(ctx, row, ""); {
	case errors.Is(err, handle.ErrUsed):
		return Answered{}, &Shown{"already_used", "This sign-in is being completed in another window. Look there."}
	case err != nil:
		return Answered{}, kept.failed(smartauth.Unavailable(err))
	}
	given, granted, err := s.signedIn(ctx, server, app, kept, query)
	s.logSignIn(ctx, slug, kept, granted, err)
	if err != nil {
		return Answered{}, err
	}
	return Answered{Location: redirect.WithQuery(kept.RedirectURI, [][2]string{{"code", given}, {"state", string(kept.State)}, {"iss", kept.Issuer}})}, nil
}

// single returns a parameter that stands once in a query.
func single(query url.Values, name string) string {
	if len(query[name]) != 1 {
		return ""
	}
	return query[name][0]
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// appOf returns the app of a request, which may still be answered. Error: *Shown.
func (s server) appOf(kept request) (smartauth.App, error) {
	if s.Settings.ID != kept.SettingsID || s.served() != kept.Served {
		return smartauth.App{}, &Shown{"request_expired", "The organization has changed how apps sign in since this sign-in began. Go back to the app, and begin again there."}
	}
	app, _, err := s.who(url.Values{"client_id": {kept.ClientID}, "redirect_uri": {kept.RedirectURI}})
	if err == nil && (app.ID != kept.AppID || !s.signsInBy(app, kept.EntraClientID)) {
		err = &Shown{"request_expired", "The organization has registered the app anew since this sign-in began. Go back to the app, and begin again there."}
	}
	return app, err
}

// signedIn exchanges Entra's code, and decides what the app is granted. The error is a *Refused.
func (s *Service) signedIn(ctx context.Context, server server, app smartauth.App, kept request, query url.Values) (given string, granted []string, err error) {
	if refusal, ok := entra.ParseRedirectRefusal(single(query, "error"), query.Get("error_description")); ok {
		// It says nothing of the link to us: whoever signs in can make it up.
		code, description := server.explain(refusal, kept.Upstream)
		return "", nil, kept.refuse(code, description, refusal)
	}
	if single(query, "code") == "" { // Entra does not send that, but whoever has the cookie can
		return "", nil, kept.refuse(oauth.ServerError, "The answer of the sign-in has neither a code nor an error. Begin again with authorize.", nil)
	}
	as, ok := server.clientOf(app)
	if !ok {
		return "", nil, kept.notRegistered()
	}
	t, who, err := s.redeem(ctx, server, as, kept, single(query, "code"))
	if err != nil {
		return "", nil, server.refused(kept, err)
	}
	user := User{
		ObjectID: who.ObjectID, Name: who.Name, Username: who.Username, Email: who.Email,
		FHIRUser: fhiruser.Of(who.Claims, server.Settings.UserClaim, server.BaseURLs()),
	}
	launch, launchRow, err := s.launchOf(ctx, server, app, kept)
	if err != nil {
		return "", nil, err
	}
	if description := mayNotOpen(user, launch); description != "" {
		return "", nil, kept.refuse(accessDenied, description, nil)
	}
	launched := contextOf(user, launch)
	asked := within(app.Scopes, kept.Scopes)
	var upstream upstreamToken
	if server.ofEntra() {
		upstream = server.upstreamToken(t, asked)
		asked = cutTo(upstream.Returned, asked)
	}
	granted, denied := server.grantedOf(asked, user, launched, !t.Refresh.IsZero())
	if denied || asksForData(kept.Scopes) && !asksForData(granted) {
		return "", nil, kept.refuse(accessDenied, server.deniedTo(user), nil)
	}
	ends := s.Now().Add(codeLife)
	h := handle.New(ends)
	value := code{
		SettingsID:  kept.SettingsID,
		Served:      kept.Served,
		AppID:       kept.AppID,
		ClientID:    kept.ClientID,
		RedirectURI: kept.RedirectURI,
		Challenge:   kept.Challenge,
		Nonce:       kept.Nonce,

		EntraClientID: kept.EntraClientID,
		Upstream:      upstream,

		Grant: Grant{User: user, Scopes: granted, Context: launched, Audience: kept.Audience},
	}
	if value.Grant.refreshes() {
		value.Refresh = t.Refresh.Reveal()
	}
	value.GrantEnds = date.Stored(server.ends(value, ends))
	if err := s.spendLaunch(ctx, kept, launchRow); err != nil {
		return "", nil, err
	}
	if err := handle.Keep(ctx, s.handles(), handle.Code, h, server.Link.ID, ends, value); err != nil {
		return "", nil, kept.failed(smartauth.Unavailable(err))
	}
	return codePrefix + string(h), granted, nil
}

// redeem exchanges Entra's code for tokens, and reads who has signed in.
func (s *Service) redeem(ctx context.Context, server server, client link.Link, kept request, entraCode string) (t entra.UserTokens, who entra.SignedIn, err error) {
	callback := s.Servers.Issuer(string(server.Link.Slug)) + smartauth.CallbackPath
	err = s.Clients.As(ctx, client, func(ctx context.Context, as entra.Credentials) (err error) {
		if t, err = s.SignIns.Redeem(ctx, as, secret.New(entraCode), secret.New(kept.EntraVerifier), callback); err != nil {
			return err
		}
		who, err = s.IDTokens.Validate(ctx, as, t.ID.Reveal(), kept.EntraNonce)
		return err
	})
	switch {
	case err != nil || !server.ofEntra():
	case t.Access.IsZero():
		err = errors.New("the answer of Entra has no access token")
	case isForOthers(t.Access):
		err = errForOthers
	}
	return t, who, err
}

// refused tells the app why Entra's code could not be exchanged.
func (s server) refused(r request, err error) error {
	var (
		refusal     *entra.Refusal
		unreachable *entra.Unreachable
	)
	switch {
	case errors.Is(err, errForOthers):
		return r.refuse(oauth.ServerError, forOthers, nil)
	case errors.Is(err, entra.ErrOtherSignIn): // whoever signs in can bring that about, in the address of Entra's page
		return r.refuse(oauth.ServerError, "Entra's answer is of another sign-in than the one that began here. Begin again with authorize.", nil)
	case errors.As(err, &refusal):
		code, description := s.explain(refusal, r.Upstream)
		return r.refuse(code, description, err)
	case errors.As(err, &unreachable):
		return r.refuse(oauth.Unavailable, "Entra does not answer just now. Try again in a few seconds.", problem.Unavailable(err, refreshRetry, "Entra does not answer just now."))
	}
	return r.failed(smartauth.Unavailable(err))
}

// deniedTo says why a user gets nothing of what the app asks for.
func (s server) deniedTo(u User) string {
	if s.ofEntra() {
		return "Entra's access token has none of the scopes for data that the app asks for, or they are patient/ scopes and there is no patient. The organization's administrator adds the scopes to the app's registration, and consents."
	}
	claim := s.Settings.UserClaim
	switch u.kind() {
	case "":
		return "Entra does not say which FHIR resource this user is. The organization's administrator sets the claim " + oauth.Plain(claim) + " for the user, as Type/id, e.g. Practitioner/1."
	case "Patient":
		return "The user is a patient, and patients can give access to their own record only. Ask for patient/ scopes."
	}
	return "The user is no patient, so there is no patient for patient/ scopes. Ask for user/ scopes."
}

// Clear returns the cookie that deletes the one which bound a request to its browser; nil if a state cannot
// be one of ours.
func Clear(state string) *http.Cookie {
	h := handle.Handle(state)
	if !h.Valid() {
		return nil
	}
	c := bind(h)
	c.Value, c.MaxAge = "", -1
	return c
}

// logSignIn counts scopes, and names none.
func (s *Service) logSignIn(ctx context.Context, slug string, kept request, granted []string, err error) {
	eventlog.Log(ctx, s.Log, slog.LevelInfo, "smart.signed_in",
		slog.String("link", slug), slog.String("client", kept.ClientID), slog.String("outcome", outcomeOf(err)), slog.Int("requested", kept.Asked), slog.Int("granted", len(granted)), slog.Int("aadsts", numberOf(err)))
}
