package webhook

import (
	"context"
	"slices"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// Rotate replaces the signing key and returns the new one, which is never shown again. For
// Overlap, the previous keys sign as well. Errors: WebhookNotFound, UpstreamUnavailable.
//
// The writes: store the new version; put it into the row; disable the versions that the row does
// not name any more. A crash leaves a version that no row names; the next Rotate disables it.
func (s *Service) Rotate(ctx context.Context, organization, id string) (Endpoint, secret.Value, error) {
	e, err := s.find(ctx, organization, id)
	if err != nil {
		return Endpoint{}, secret.Value{}, storeProblem(err, id)
	}
	key := newKey()
	attributes := secret.Attributes{Organization: organization}
	version, err := s.secrets.Put(ctx, e.SecretName, key, attributes)
	if err != nil {
		return Endpoint{}, secret.Value{}, vaultProblem(err, id)
	}
	now := s.now()
	e, err = s.update(ctx, organization, id, func(e Endpoint) Endpoint {
		e.Keys = withNewKey(e.signing(now), version, now)
		return e
	})
	if err != nil {
		return Endpoint{}, secret.Value{}, rotateProblem(err, id)
	}
	s.disableOldKeys(ctx, e, now)
	return e, key, nil
}

// rotateProblem returns the error for a change of the row whose outcome may be unknown.
func rotateProblem(err error, id string) error {
	told := storeProblem(err, id)
	if problem.CodeOf(told) != problem.UpstreamUnavailable {
		return told
	}
	return problem.Unavailable(err, 5*time.Second, "The table of webhooks did not answer, so the key may or may not have been replaced. The key that you have works for another %d hours: send the request again in a few seconds.", int(Overlap.Hours()))
}

// withNewKey puts a new version before the keys that sign. It drops the oldest keys if there are
// too many.
func withNewKey(keys []Key, version string, now time.Time) []Key {
	keys = slices.Clone(keys)
	for i := range keys {
		if keys[i].Until.IsZero() {
			keys[i].Until = now.Add(Overlap)
		}
	}
	keys = slices.Insert(keys, 0, Key{Version: version})
	return keys[:min(len(keys), maxKeys)]
}

// disableOldKeys disables the versions in the secret store that no longer sign. It keeps those of
// the last Overlap, because the row may have changed since e was read.
func (s *Service) disableOldKeys(ctx context.Context, e Endpoint, now time.Time) {
	ctx, cancel := detached(ctx)
	defer cancel()
	versions, err := s.secrets.Versions(ctx, e.SecretName)
	for _, v := range versions {
		named := slices.ContainsFunc(e.Keys, func(k Key) bool { return k.Version == v.ID })
		if err == nil && v.Enabled && !named && now.Sub(v.CreatedAt) > Overlap {
			err = s.secrets.Update(ctx, e.SecretName, v.ID, false, secret.Attributes{Organization: e.Organization})
		}
	}
	if err != nil {
		s.log.WarnContext(ctx, "webhook.unfinished", "webhook", e.ID, "left", "to the next replacement of its key", "cause", err.Error())
	}
}
