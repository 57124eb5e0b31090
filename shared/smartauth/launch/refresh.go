package launch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// grace is how long a refresh token that was just used leads to the same next one: an answer can be lost,
// and two tabs can refresh at once.
const grace = time.Minute

// refreshRetry is how long an app waits when Entra cannot be asked.
const refreshRetry = 10 * time.Second

// refresh exchanges a refresh token. Entra is asked whether the user may still sign in; then one write makes
// the next refresh token the current one.
func (s *Service) refresh(ctx context.Context, server server, c client.Credentials, form url.Values) (TokenAnswer, error) {
	presented, known, err := s.readToken(ctx, form.Get("refresh_token"))
	if err != nil {
		return TokenAnswer{}, err
	}
	var app smartauth.App // of a client that names itself
	if !c.Anonymous() {
		if app, err = s.clients.App(ctx, server.Server, c); err != nil {
			return TokenAnswer{}, err
		}
	}
	if form.Get("refresh_token") == "" {
		return TokenAnswer{}, invalidRequest("The parameter refresh_token is missing.")
	}
	for range attempts {
		var (
			grant grantRow
			row   store.Row
			found bool
		)
		if known {
			if grant, row, found, err = s.readGrant(ctx, server, presented.Grant()); err != nil {
				return TokenAnswer{}, smartauth.Unavailable(err)
			}
		}
		about := TokenAnswer{client: grant.Client}
		if c.Anonymous() {
			if app, err = server.publicAppOf(grant, found); err != nil {
				return about, err
			}
		}
		if !found || !grant.good(server, app, s.Now()) || grant.Box == "" {
			return about, errNotGood
		}
		answer, err := s.rotate(ctx, refreshing{asked{server: server, app: app, form: form}, presented, grant, row})
		if errors.Is(err, errLost) { // another request with the same token was faster
			continue
		}
		if err != nil {
			return about, err
		}
		return answer, nil
	}
	return TokenAnswer{}, smartauth.Unavailable(errChanged)
}

// readToken reads a refresh token; known is false for a text that was not issued here.
func (s *Service) readToken(ctx context.Context, text string) (token handle.RefreshToken, known bool, err error) {
	token, err = handle.ReadRefreshToken(ctx, s.Sealer, text)
	known = err == nil
	return token, known, smartauth.Unavailable(ignore(err, handle.ErrNoRefreshToken))
}

// errNotGood is the answer to a refresh token for which there is nothing any more.
var errNotGood = invalidGrant("The refresh token (flr_...) is not known, belongs to another client than the request names, or what it was for has ended. Begin again with authorize.")

// errLost means that a row was changed since it was read.
var errLost = errors.New("the grant was changed meanwhile")

// publicAppOf is the app of a grant, for a client that does not name itself, which only public ones may.
func (s server) publicAppOf(grant grantRow, found bool) (smartauth.App, error) {
	if !found {
		return smartauth.App{}, errNotGood
	}
	app, ok := s.App(grant.Client)
	if ok && app.Type != smartauth.Public {
		return smartauth.App{}, &oauth.Error{Code: oauth.InvalidClient, Status: http.StatusUnauthorized, Description: "The client must authenticate: it is not public."}
	}
	return app, nil // one that is not there has no grant that is good
}

// refreshing is a request to refresh, with the grant as it was read.
type refreshing struct {
	asked
	presented handle.RefreshToken
	grant     grantRow
	row       store.Row
}

// rotate is refresh for a grant that is good.
func (s *Service) rotate(ctx context.Context, r refreshing) (TokenAnswer, error) {
	next, err := r.presented.Next(ctx, s.Sealer)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	nextText, err := next.Text(ctx, s.Sealer)
	if err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	switch generation := r.presented.Generation(); {
	case generation == r.grant.Generation:
		return s.rotateNow(ctx, r, nextText)
	case next.Generation() == r.grant.Generation && s.Now().Sub(r.grant.RotatedAt) < grace:
		return s.repeat(ctx, r, nextText)
	case generation > r.grant.Generation: // the database has been put back to an earlier state
		return TokenAnswer{}, errNotGood
	}
	if err := s.kill(ctx, r.server, r.presented.Grant()); err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	return TokenAnswer{}, invalidGrant("The refresh token was used before. For safety, what it was for has ended. Begin again with authorize.")
}

// rotateNow makes the next refresh token the current one.
func (s *Service) rotateNow(ctx context.Context, r refreshing, next secret.Value) (TokenAnswer, error) {
	box, granted, err := s.open(ctx, r, secret.New(r.form.Get("refresh_token")))
	if err != nil {
		return TokenAnswer{}, err
	}
	fresh, err := s.askEntra(ctx, r, box)
	if err != nil {
		return TokenAnswer{}, err
	}
	if r.server.ofEntra() {
		box.Upstream = r.server.upstreamToken(fresh, box.Grant.Scopes)
	}
	answer, err := s.again(ctx, r, granted, box)
	if err != nil {
		return TokenAnswer{}, err
	}
	if !fresh.Refresh.IsZero() {
		box.Refresh = fresh.Refresh.Reveal()
	}
	changed := r.grant
	changed.Generation++
	changed.RotatedAt = date.Stored(s.Now())
	changed.UsedAt = changed.RotatedAt
	if changed.Box, err = seal.Seal(ctx, s.Sealer, boxUse(r.server.Link.ID, next), r.grant.End, box); err != nil {
		return TokenAnswer{}, smartauth.Unavailable(err)
	}
	switch _, swapped, err := s.swapGrant(ctx, r.row, changed); {
	case err != nil:
		return TokenAnswer{}, smartauth.Unavailable(err)
	case !swapped:
		return TokenAnswer{}, errLost
	}
	answer.RefreshToken = next.Reveal()
	return answer, nil
}

// repeat answers once more to a refresh token that was just used, with the same next one. Entra has been
// asked a moment ago.
func (s *Service) repeat(ctx context.Context, r refreshing, next secret.Value) (TokenAnswer, error) {
	box, granted, err := s.open(ctx, r, next)
	if err != nil {
		return TokenAnswer{}, err
	}
	answer, err := s.again(ctx, r, granted, box)
	if err != nil {
		return TokenAnswer{}, err
	}
	answer.RefreshToken = next.Reveal()
	return answer, nil
}

// again is the answer to a refresh: of Entra's tokens, as far as the latest still has the scopes.
func (s *Service) again(ctx context.Context, r refreshing, granted Grant, box boxed) (TokenAnswer, error) {
	if r.server.ofEntra() {
		before := granted.Scopes
		if granted.Scopes = cutTo(box.Upstream.Returned, before); asksForData(before) && !asksForData(granted.Scopes) {
			return TokenAnswer{}, &oauth.Error{Code: oauth.InvalidScope, Description: "Entra's access token has none of these scopes any more: a consent was withdrawn. Ask for others, or begin again with authorize."}
		}
	}
	return s.answer(ctx, r.asked, granted, box.Upstream)
}

// open opens the box of a grant with the refresh token that is the current one, and returns what of the
// grant is asked for and may still be had.
func (s *Service) open(ctx context.Context, r refreshing, current secret.Value) (box boxed, granted Grant, err error) {
	box, _, err = seal.Open[boxed](ctx, s.Sealer, boxUse(r.server.Link.ID, current), r.grant.Box)
	if errors.Is(err, seal.ErrInvalid) || errors.Is(err, seal.ErrEnded) {
		return boxed{}, Grant{}, errNotGood
	}
	if err != nil {
		return boxed{}, Grant{}, smartauth.Unavailable(err)
	}
	granted = box.Grant.named(r.presented.Grant())
	granted.Scopes = within(r.app.Scopes, granted.Scopes) // the organization may have taken some away
	if !granted.refreshes() || asksForData(box.Grant.Scopes) && !asksForData(granted.Scopes) {
		return boxed{}, Grant{}, invalidGrant("The app may no longer have what the user granted. Begin again with authorize.")
	}
	scopes, description := narrowed(granted.Scopes, r.form.Get("scope"))
	if description == "" {
		description = r.server.mixed(scopes)
	}
	if description != "" {
		return boxed{}, Grant{}, &oauth.Error{Code: oauth.InvalidScope, Description: description}
	}
	granted.Scopes = scopes
	return box, granted, nil
}

// narrowed returns what an app asks for of what it was granted, in its own spelling. What lets it refresh
// stays: it gets a refresh token all the same. description says what is wrong; empty: nothing.
func narrowed(granted []string, asked string) (scopes []string, description string) {
	wanted, description := splitScopes(asked)
	if description != "" || len(wanted) == 0 {
		return granted, description
	}
	scopes = within(granted, wanted)
	for _, one := range wanted {
		if !slices.Contains(scopes, one) && one != "launch" {
			return nil, "The refresh asks for " + one + ", which was not granted. Leave scope out, or ask for less."
		}
	}
	for _, one := range granted {
		if (one == "offline_access" || one == "online_access") && !slices.Contains(scopes, one) {
			scopes = append(scopes, one)
		}
	}
	return scopes, ""
}

// askEntra asks Entra whether the user may still sign in. Only Entra's invalid_grant ends the grant: a fault
// of the link's credential must not sign everybody out.
func (s *Service) askEntra(ctx context.Context, r refreshing, box boxed) (fresh entra.UserTokens, err error) {
	client, ok := r.server.clientOf(r.app)
	if !ok {
		return fresh, errNotRegistered
	}
	err = s.Clients.As(ctx, client, func(ctx context.Context, as entra.Credentials) (err error) {
		fresh, err = s.SignIns.Refresh(ctx, as, secret.New(box.Refresh), r.server.refreshScope(r.app, box))
		return err
	})
	var refusal *entra.Refusal
	switch {
	case err == nil && r.server.ofEntra() && fresh.Access.IsZero():
		return fresh, r.server.notNow(&entra.Unreachable{Reason: "it answered without an access token"})
	case err == nil && r.server.ofEntra() && isForOthers(fresh.Access):
		return fresh, r.server.notNow(errForOthers)
	case err == nil:
		return fresh, nil
	case errors.As(err, &refusal) && asksForUser(refusal):
		return fresh, &oauth.Error{Code: oauth.InvalidGrant, Description: "Entra wants the user to answer a question. Let the user sign in again.", Cause: err}
	case errors.As(err, &refusal) && refusal.OAuthError == oauth.InvalidGrant && aboutUser(refusal):
		return fresh, s.endedByEntra(ctx, r, err)
	}
	return fresh, r.server.notNow(err)
}

// notNow tells an app that it may try again later what Entra refuses now, or does not answer.
func (s server) notNow(err error) error {
	var (
		refusal     *entra.Refusal
		unreachable *entra.Unreachable
		p           *problem.Error
	)
	switch {
	case errors.Is(err, errForOthers):
		return problem.Unavailable(err, refreshRetry, "%s", forOthers)
	case errors.As(err, &refusal):
		return problem.Unavailable(quiet{refusal}, max(refreshRetry, refusal.RetryAfter), "%s", s.refusesApplication(refusal))
	case errors.As(err, &unreachable):
		return problem.Unavailable(err, refreshRetry, "Entra does not answer just now. Send the request again in a few seconds.")
	case errors.As(err, &p):
		return err
	}
	return smartauth.Unavailable(err)
}

// quiet is a refusal of Entra's about which the log gets the number only: its sentence may name the user.
type quiet struct{ refusal *entra.Refusal }

// Error returns the number.
func (q quiet) Error() string { return "Entra answered " + q.refusal.Code() }

// Unwrap returns the refusal.
func (q quiet) Unwrap() error { return q.refusal }

// endedByEntra ends a grant because Entra has refused its refresh token. An authority whose refresh tokens
// count once refuses the slower of two requests at once, so the faster one gets a moment to write what it
// has got.
func (s *Service) endedByEntra(ctx context.Context, r refreshing, cause error) error {
	const looks, pause = 4, 250 * time.Millisecond
	for look := range looks {
		now, _, ok, err := s.readGrant(ctx, r.server, r.presented.Grant())
		if err != nil {
			return smartauth.Unavailable(err)
		}
		if ok && now.Generation != r.grant.Generation {
			return errLost
		}
		if look == looks-1 {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return smartauth.Unavailable(store.ErrUnavailable)
		}
	}
	if err := s.kill(ctx, r.server, r.presented.Grant()); err != nil {
		return smartauth.Unavailable(err)
	}
	return &oauth.Error{Code: oauth.InvalidGrant, Description: "Entra no longer lets the user sign in, or a consent was withdrawn. Begin again with authorize.", Cause: cause}
}
