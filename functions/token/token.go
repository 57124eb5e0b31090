package token

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
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
	grant, err := h.grant(r.Context(), from, request)
	if err != nil {
		h.refused(r.Context(), from, request.slug, err)
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

func (h Handler) grant(ctx context.Context, from caller.Caller, asked request) (tokens.Grant, error) {
	if err := h.checkScope(ctx, from, asked); err != nil {
		return tokens.Grant{}, err
	}
	return h.Tokens.Token(ctx, from.Organization, from.Operator, asked.slug)
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
	eventlog.Log(ctx, h.Log, slog.LevelInfo, "token.issued",
		slog.String("link", slug),
		slog.String("tid", from.Organization),
		slog.String("azp", from.AppID),
		slog.String("oid", from.ObjectID),
		slog.Time("expiry", grant.ExpiresOn.UTC()),
		slog.Bool("cached", grant.Cached),
		slog.Bool("previous", grant.Previous))
}

// refused logs that a caller got no token, and why: the error that is answered, the code of what
// Entra or the store of secrets said, and Entra's own ids for a question to Microsoft.
func (h Handler) refused(ctx context.Context, from caller.Caller, slug string, err error) {
	attrs := []slog.Attr{
		slog.String("link", shorten(slug)),
		slog.String("tid", from.Organization),
		slog.String("azp", from.AppID),
		slog.String("oid", from.ObjectID),
		slog.String("error", CodeOf(err)),
	}
	level := slog.LevelInfo // a mistake in the request
	var (
		refused *tokens.Refused
		p       *problem.Error
	)
	switch {
	case errors.As(err, &refused):
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("code", refused.Code), slog.String("entraCorrelation", refused.CorrelationID))
	case errors.As(err, &p):
		attrs = append(attrs, slog.String("code", string(p.Code)))
		if p.Code == problem.UpstreamUnavailable {
			level = slog.LevelWarn
		}
	}
	h.Log.LogAttrs(ctx, level, "token.refused", attrs...)
}

// shorten bounds what a caller sent as a slug.
func shorten(slug string) string { return slug[:min(len(slug), 64)] }
