package tokens

import (
	"context"
	"log/slog"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// Links is what the tokens of links need of the links themselves; *link.Service implements it.
type Links interface {
	// ForTokens is the tenant check: it reads the link with read, and returns it to an
	// organization that may have tokens for it.
	ForTokens(ctx context.Context, read func(context.Context, link.Slug) (link.Link, error), organization string, operator bool, slug string) (link.Link, error)
	// TokenAnswered lets Entra's answer to the current secret change the link's status.
	TokenAnswered(ctx context.Context, l link.Link, report verification.Report)
	// StandIn writes down that the previous secret stands in for the current one.
	StandIn(ctx context.Context, l link.Link)
	// Enter adds an event to the trail.
	Enter(ctx context.Context, e trail.Event) error
	// OnWrite has changed called after every write of a row.
	OnWrite(changed func(link.Slug))
}

// Deps is what a Service works with. All fields but the last two are required.
type Deps struct {
	Links     Links
	Rows      Reader
	Secrets   secret.Store
	Source    entra.TokenSource
	Authority func(fhir.BaseURL) string // the configured authority for a server

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default()
}

// Service hands out access tokens for links.
type Service struct {
	links     Links
	secrets   secret.Store
	source    entra.TokenSource
	authority func(fhir.BaseURL) string
	now       func() time.Time
	log       *slog.Logger

	rows        *rowCache
	credentials *credentialCache
	handOuts    *handOuts
}

// New makes a Service. It does nothing else: no network, no goroutine.
func New(d Deps) *Service {
	s := &Service{
		links: d.Links, secrets: d.Secrets, source: d.Source, authority: d.Authority, now: d.Now, log: d.Log,
		credentials: newCredentialCache(), handOuts: newHandOuts(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.rows = newRowCache(d.Rows, s.now)
	d.Links.OnWrite(s.rows.forget)
	return s
}

// Grant is an access token that is handed out.
type Grant struct {
	AccessToken secret.Value
	ExpiresOn   time.Time
	Scope       string // "{audience}/.default"
	Resource    string // the audience

	Cached   bool // the token was remembered: neither vault nor Entra was asked
	Previous bool // by the previous secret, which stands in for the current one
}

// Refused means that Entra refuses the credentials of the link; the text is for people.
type Refused struct {
	Code    string // e.g. aadsts_7000222
	Message string
	Fix     string

	SecretRefused bool   // Entra does not know the client secret
	CorrelationID string // of Entra's answer, for a question to Microsoft; empty when there is none
}

// Error is the message and the fix.
func (r *Refused) Error() string { return r.Message + " " + r.Fix }

// Token hands out an access token for a link: of organization, or of any one when operator.
// Errors: LinkNotFound, UpstreamUnavailable with RetryAfter, *Refused.
//
// A token that has used up most of its life is renewed in the background while it is still handed
// out. A refusal is remembered, and updates the link's status.
func (s *Service) Token(ctx context.Context, organization string, operator bool, slug string) (Grant, error) {
	l, err := s.links.ForTokens(ctx, s.rows.get, organization, operator, slug)
	if err != nil {
		return Grant{}, err
	}
	g, err := s.grant(ctx, l)
	if refusal, worth := refusalOf(err); worth {
		s.noteHandOut(ctx, l, refusal)
	}
	return g, err
}

// ReadAhead begins to read a link that a token will be asked for, and returns at once. It decides
// nothing: what it reads passes the tenant check when the token is asked for.
func (s *Service) ReadAhead(ctx context.Context, slug string) {
	if slug, mistake := link.ParseSlug(slug); mistake == nil {
		s.rows.ahead(ctx, slug)
	}
}

// Scope is the one scope that tokens for a link have, for the callers that Token serves. It asks
// neither Entra nor the vault. Errors: LinkNotFound, UpstreamUnavailable.
func (s *Service) Scope(ctx context.Context, organization string, operator bool, slug string) (string, error) {
	l, err := s.links.ForTokens(ctx, s.rows.get, organization, operator, slug)
	if err != nil {
		return "", err
	}
	return tokenKey{audience: l.Audience}.scope(), nil
}
