package tokens

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/flight"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

const (
	// tokenTimeout bounds one round to vault and authority.
	tokenTimeout = 15 * time.Second
	// tokenMargin is how much life a token must have to be handed out.
	tokenMargin = 30 * time.Second
	// refusedFor is how long a refusal is remembered for one version of a secret.
	refusedFor = 30 * time.Second
	// heldFor is how long nothing is asked after an upstream was unavailable without a Retry-After.
	// heldAtMost bounds its Retry-After.
	heldFor    = 5 * time.Second
	heldAtMost = 2 * time.Minute
	// secretFor is how long a secret's value is remembered.
	secretFor = 10 * time.Minute
)

// tokenKey is all that a token depends on; a new version of the secret is another key.
type tokenKey struct {
	authority, tenant, client, audience, secretName, secretVersion string

	kind credential.Kind // of that version, as the row has it
}

// held is what is remembered under a tokenKey.
type held struct {
	token   entra.Token
	renewAt time.Time // when the token is renewed in the background
	by      credential.Credential
	readAt  time.Time // when by was read
	failure error     // of the last attempt
	until   time.Time // nothing is asked before
}

type credentialCache struct {
	held    *lru.Cache[tokenKey, held]
	secrets *lru.Cache[tokenKey, held] // by and readAt only, for As: a flight that asks for a token changes held as a whole
	flights flight.Group[held]
}

func newCredentialCache() *credentialCache {
	return &credentialCache{held: newLRU[tokenKey, held](), secrets: newLRU[tokenKey, held]()}
}

func (h held) usable(now time.Time) bool {
	return !h.token.Access.IsZero() && h.token.ExpiresOn.Sub(now) > tokenMargin
}

// grant is a token by the current secret, or by the previous one where that stands in.
func (s *Service) grant(ctx context.Context, l link.Link) (Grant, error) {
	c, err := s.credentialOf(l)
	if err != nil {
		return Grant{}, err
	}
	g, err := s.grantBy(ctx, l, c)
	if err != nil && mayFallBack(l, err, s.now()) {
		if previous, previousErr := s.fallBack(ctx, l, c); previousErr == nil {
			previous.Cached = previous.Cached && g.Cached
			return previous, nil
		}
	}
	return g, err
}

// grantBy is a token by one version of the secret. Cached is also set on a failure that was
// remembered.
func (s *Service) grantBy(ctx context.Context, l link.Link, c tokenKey) (_ Grant, err error) {
	now := s.now()
	h, _ := s.credentials.held.Get(c)
	cached := h.usable(now)
	switch {
	case cached:
		if now.After(h.renewAt) && now.After(h.until) {
			s.renew(ctx, l, c)
		}
	case h.failure != nil && now.Before(h.until):
		return Grant{Cached: true}, h.failed(now)
	default:
		if h, err = s.await(ctx, l, c); err != nil {
			return Grant{}, err
		}
	}
	return Grant{AccessToken: h.token.Access, ExpiresOn: h.token.ExpiresOn, Scope: c.scope(), Resource: c.audience, Cached: cached}, nil
}

// await waits for the flight that asks for a token, and starts one if there is none. It is a separate
// function because its closure would cost every warm request a copy of the link.
func (s *Service) await(ctx context.Context, l link.Link, c tokenKey) (held, error) {
	h, err := s.credentials.flights.Do(ctx, c.key(), tokenTimeout, func(ctx context.Context) (held, error) {
		return s.obtain(ctx, l, c), nil
	})
	if err != nil {
		return held{}, problem.Unavailable(err, heldFor, "The token did not come in time. Send the request again in a few seconds.")
	}
	if now := s.now(); !h.usable(now) {
		return held{}, h.failed(now)
	}
	return h, nil
}

// credentialOf is what a token for the link depends on.
func (s *Service) credentialOf(l link.Link) (tokenKey, error) {
	server, err := l.Server()
	if err != nil {
		return tokenKey{}, err
	}
	return tokenKey{s.authority(server), l.TenantID, l.ClientID, l.Audience, l.Secret.Name, l.Secret.Version, l.Secret.Kind}, nil
}

// ask requests a token; nothing is remembered.
func (s *Service) ask(ctx context.Context, c tokenKey, by credential.Credential) (entra.Token, error) {
	return s.source.Token(ctx, c.credentials(by), c.scope())
}

func (c tokenKey) credentials(by credential.Credential) entra.Credentials {
	return entra.Credentials{Authority: c.authority, TenantID: c.tenant, ClientID: c.client, Credential: by}
}

func (c tokenKey) scope() string { return c.audience + "/.default" }

func (c tokenKey) key() string {
	return c.authority + "\n" + c.tenant + "\n" + c.client + "\n" + c.audience + "\n" + c.secretName + "\n" + c.secretVersion
}

// failed is the remembered failure, with what is left of the time to wait.
func (h held) failed(now time.Time) error {
	var p *problem.Error
	if errors.As(h.failure, &p) && p.RetryAfter > 0 {
		again := *p
		again.RetryAfter = max(h.until.Sub(now), time.Second)
		return &again
	}
	if h.failure == nil {
		return problem.Unavailable(nil, heldFor, "Entra's token ends too soon to be of use. Send the request again in a few seconds.")
	}
	return h.failure
}

// renew starts a flight in the background. The flight has a line of its own in the log.
func (s *Service) renew(ctx context.Context, l link.Link, c tokenKey) {
	ctx, work := eventlog.Start(ctx)
	s.credentials.flights.Go(ctx, c.key(), tokenTimeout, func(ctx context.Context) (held, error) {
		h := s.obtain(ctx, l, c)
		if work.Notes() != nil { // else a flight that ended just now has done it
			work.Write(ctx, s.log, slog.LevelInfo, "token.renewed", slog.String("link", string(l.Slug)), slog.Bool("renewed", h.failure == nil))
		}
		return h, nil
	})
}

// obtain asks for a token, once, and remembers what came of it.
func (s *Service) obtain(ctx context.Context, l link.Link, c tokenKey) held {
	h, _ := s.credentials.held.Get(c)
	now := s.now()
	if h.usable(now) && now.Before(h.renewAt) || h.failure != nil && now.Before(h.until) {
		return h // a flight that ended just now has done it
	}
	err := s.readSecret(ctx, c, &h)
	if err == nil {
		var t entra.Token
		t, err = s.ask(ctx, c, h.by)
		if err == nil {
			h.token, h.renewAt = t, renewal(s.now(), t.ExpiresOn)
			h.failure, h.until = nil, time.Time{}
		}
		if c.secretVersion == l.Secret.Version { // an answer to the previous one says nothing of the link
			s.links.TokenAnswered(ctx, l, verification.OfToken(err, c.credentials(h.by), c.audience))
		}
	}
	if err != nil {
		h.until, h.failure = s.failure(c, h.by, err)
	}
	s.credentials.held.Add(c, h)
	return h
}

// renewal is a time between 80 and 95 hundredths of the token's life, at random, so that
// tokens that were issued together are not renewed together.
func renewal(now, expires time.Time) time.Time {
	life := float64(expires.Sub(now))
	return now.Add(time.Duration(life * (0.80 + 0.15*rand.Float64())))
}

func (s *Service) readSecret(ctx context.Context, c tokenKey, h *held) error {
	if h.by != nil && s.now().Sub(h.readAt) < secretFor {
		return nil
	}
	by, err := credential.Load(ctx, s.secrets, c.secretName, c.secretVersion, c.kind)
	if err != nil {
		return err
	}
	h.by, h.readAt = by, s.now()
	return nil
}

// failure is until when an error is remembered, and what the caller is told of it.
func (s *Service) failure(c tokenKey, by credential.Credential, err error) (until time.Time, told error) {
	now := s.now()
	var refusal *entra.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Class() != entra.Transient:
		d := refusal.Diagnose(c.credentials(by), c.audience)
		return now.Add(refusedFor), &Refused{Code: refusal.Code(), Message: d.Message, Fix: d.Advice(), SecretRefused: refusal.SecretRefused(), CorrelationID: refusal.CorrelationID}
	case errors.Is(err, secret.ErrNotFound):
		missing := verification.SecretMissing()
		return now.Add(refusedFor), &Refused{Code: missing.Code, Message: missing.Message, Fix: missing.Fix}
	}
	pause := heldFor
	if refusal != nil && refusal.RetryAfter > 0 {
		pause = min(refusal.RetryAfter, heldAtMost)
	}
	unavailable := problem.Unavailable(err, pause, "Entra or the store of secrets did not answer, or asked to wait. Nothing is wrong with your request: send it again later.")
	return now.Add(unavailable.RetryAfter), unavailable
}
