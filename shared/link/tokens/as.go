package tokens

import (
	"context"
	"errors"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// As calls do with the credentials of a link's application, for what that does besides getting tokens of
// its own. The previous secret stands in for the current one as it does for tokens: then do is called once
// more. A refusal of the credentials updates the link's status, and people are told; what Entra says of a
// user does not.
//
// It returns do's error, or UpstreamUnavailable if the credentials cannot be read.
func (s *Service) As(ctx context.Context, l link.Link, do func(context.Context, entra.Credentials) error) error {
	c, err := s.credentialOf(l)
	if err != nil {
		return err
	}
	by, err := s.as(ctx, c, do)
	if !aboutClient(err) {
		return err
	}
	s.links.TokenAnswered(ctx, l, verification.OfToken(err, c.credentials(by), c.audience))
	if _, told := s.failure(c, by, err); !mayFallBack(l, told, s.now()) {
		return err
	}
	c.secretVersion, c.kind = l.Secret.Previous, l.Secret.PreviousKind
	_, again := s.as(ctx, c, do)
	if again != nil && (aboutClient(again) || problem.CodeOf(again) == problem.UpstreamUnavailable) {
		return err
	}
	if l.Secret.FellBackAt.IsZero() {
		s.links.StandIn(ctx, l)
	}
	return again
}

// as calls do with one version of the secret, whose value is remembered.
func (s *Service) as(ctx context.Context, c tokenKey, do func(context.Context, entra.Credentials) error) (credential.Credential, error) {
	h, _ := s.credentials.secrets.Get(c)
	if err := s.readSecret(ctx, c, &h); err != nil {
		if errors.Is(err, secret.ErrNotFound) {
			return nil, &entra.Refusal{OAuthError: "invalid_client", Sentence: "The client secret of the link is gone from the store of secrets."}
		}
		return nil, problem.Unavailable(err, heldFor, "The store of secrets did not answer. Nothing is wrong with your request: send it again later.")
	}
	s.credentials.secrets.Add(c, h)
	return h.by, do(ctx, c.credentials(h.by))
}

// aboutClient reports whether Entra has refused the application or its credential, and not a user or what
// the user brought.
func aboutClient(err error) bool {
	var r *entra.Refusal
	if !errors.As(err, &r) || r.Class() == entra.Transient {
		return false
	}
	return r.OAuthError == "invalid_client" || r.OAuthError == "unauthorized_client" || r.SecretRefused() || r.Class() == entra.Expired
}
