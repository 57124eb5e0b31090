package token

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/oauth"
)

// Granter is the part of [tokens.Service] that the endpoint uses.
type Granter interface {
	Scope(ctx context.Context, organization string, operator bool, slug string) (string, error)
	Token(ctx context.Context, organization string, operator bool, slug string) (tokens.Grant, error)
}

// Handler serves the endpoint.
type Handler struct {
	Tokens Granter
	Log    *slog.Logger // gets one event "token.issued" per token; must not block
	Now    func() time.Time
}

// Issue answers POST /api/token.
func (h Handler) Issue(w http.ResponseWriter, r *http.Request) error {
	request, err := parse(r)
	if err != nil {
		return err
	}
	from, _ := caller.From(r.Context()) // the route's right guarantees one
	if err := h.checkScope(r.Context(), from, request); err != nil {
		return err
	}
	grant, err := h.Tokens.Token(r.Context(), from.Organization, from.Operator, request.slug)
	if err != nil {
		return err
	}
	h.issued(r.Context(), from, request.slug, grant)
	oauth.Token{
		AccessToken: grant.AccessToken.Reveal(),
		TokenType:   "Bearer",
		ExpiresIn:   int64(max(grant.ExpiresOn.Sub(h.Now()), 0) / time.Second),
		Scope:       grant.Scope,
		Resource:    grant.Resource,
	}.Write(w)
	return nil
}

// checkScope runs before the token is fetched. A wrong request must be answered as such even if
// Entra refuses the link's credentials.
func (h Handler) checkScope(ctx context.Context, from caller.Caller, asked request) error {
	if asked.scope == "" {
		return nil
	}
	scope, err := h.Tokens.Scope(ctx, from.Organization, from.Operator, asked.slug)
	if err != nil || asked.scope == scope {
		return err
	}
	return &oauth.Error{
		Code:        oauth.InvalidScope,
		Description: "The scope must be " + scope + ": that is the one scope of this link. Send it, or leave scope out.",
	}
}

// issued logs who got a token for what, whether it came from the cache, and whether the previous
// secret got it. It never logs the token.
func (h Handler) issued(ctx context.Context, from caller.Caller, slug string, grant tokens.Grant) {
	h.Log.LogAttrs(ctx, slog.LevelInfo, "token.issued",
		slog.String("link", slug),
		slog.String("tid", from.Organization),
		slog.String("azp", from.AppID),
		slog.String("oid", from.ObjectID),
		slog.Time("expiry", grant.ExpiresOn.UTC()),
		slog.Bool("cached", grant.Cached),
		slog.Bool("previous", grant.Previous))
}
