package tokens

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/ending"
)

// mayFallBack reports whether the previous secret stands in for the current one after this
// failure: an expired secret, or an unknown one if that began while the new secret was spreading.
func mayFallBack(l link.Link, failure error, now time.Time) bool {
	var refused *Refused
	if l.Secret.Previous == "" || !now.Before(l.Secret.PreviousUntil) || !errors.As(failure, &refused) {
		return false
	}
	return refused.Code == ending.CodeExpired || l.Secret.Spreading(refused.SecretRefused, now) ||
		refused.SecretRefused && !l.Secret.FellBackAt.IsZero()
}

// fallBack is a grant by the previous secret. The current secret is tried again as soon as its
// refusal is forgotten, and takes over when it works.
func (s *Service) fallBack(ctx context.Context, l link.Link, c tokenKey) (Grant, error) {
	c.secretVersion, c.kind = l.Secret.Previous, l.Secret.PreviousKind
	g, err := s.grantBy(ctx, l, c)
	g.Previous = true
	if err == nil && l.Secret.FellBackAt.IsZero() {
		s.links.StandIn(ctx, l)
	}
	return g, err
}
