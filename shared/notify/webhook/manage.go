package webhook

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// NewEndpoint holds the fields of an endpoint to be created.
type NewEndpoint struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

// Patch is a change of some fields of an endpoint; nil leaves a field as it is.
type Patch struct {
	URL         *string `json:"url"`
	Description *string `json:"description"`
	Enabled     *bool   `json:"enabled"`
}

// Create stores a new endpoint and returns it with its signing key, which is never shown again.
// Errors: InvalidFields, TooManyWebhooks, UpstreamUnavailable; after an error nothing is stored.
//
// The writes, each of which may be the last: insert the row without a key; store the key; put its
// version into the row. A row without a key is invisible. When the organization's endpoints are
// next read after 15 minutes, the row is removed with its key, if it has one.
func (s *Service) Create(ctx context.Context, organization string, n NewEndpoint) (Endpoint, secret.Value, error) {
	e := Endpoint{ID: randomID(), Organization: organization, SecretName: s.secrets.NewName("webhook"), CreatedAt: s.now()}
	if err := s.apply(&e, Patch{URL: &n.URL, Description: &n.Description}); err != nil {
		return Endpoint{}, secret.Value{}, err
	}
	if err := s.checkLimit(ctx, organization, 1); err != nil {
		return Endpoint{}, secret.Value{}, err
	}
	if err := s.endpoints.Insert(ctx, e); err != nil {
		return Endpoint{}, secret.Value{}, storeProblem(s.undo(ctx, e, err), "")
	}
	// The last of several concurrent inserts sees all the others, so the limit is never exceeded.
	if err := s.checkLimit(ctx, organization, 0); err != nil {
		return Endpoint{}, secret.Value{}, s.undo(ctx, e, err)
	}
	key := newKey()
	version, err := s.secrets.Put(ctx, e.SecretName, key, secret.Attributes{Organization: organization})
	if err != nil {
		return Endpoint{}, secret.Value{}, vaultProblem(s.undo(ctx, e, err), e.ID)
	}
	made, err := s.endpoints.Update(ctx, organization, e.ID, func(row Endpoint) (Endpoint, error) {
		if !row.RemovedAt.IsZero() {
			return Endpoint{}, errLost
		}
		row.Keys = []Key{{Version: version}}
		return row, nil
	})
	if err != nil {
		return Endpoint{}, secret.Value{}, commitProblem(s.undo(ctx, e, err), e.ID)
	}
	return made, key, nil
}

// errLost means that another call found the row incomplete and is removing it.
var errLost = errors.New("the endpoint was removed before it was finished")

func commitProblem(err error, id string) error {
	if errors.Is(err, errLost) || errors.Is(err, store.ErrNotFound) {
		return problem.Unavailable(err, 5*time.Second, "The webhook could not be stored in time. Nothing was changed: send the request again.")
	}
	return storeProblem(err, id)
}

// Change changes fields of an endpoint. Enabling a disabled endpoint starts its deliveries again.
// Errors: InvalidFields, WebhookNotFound, UpstreamUnavailable.
func (s *Service) Change(ctx context.Context, organization, id string, p Patch) (Endpoint, error) {
	var scratch Endpoint
	if err := s.apply(&scratch, p); err != nil {
		return Endpoint{}, err
	}
	e, err := s.update(ctx, organization, id, func(e Endpoint) Endpoint {
		_ = s.apply(&e, p) // it has been validated above
		return e
	})
	return e, storeProblem(err, id)
}

// apply puts the fields of p into e, or returns all mistakes in them.
func (s *Service) apply(e *Endpoint, p Patch) error {
	var mistakes []problem.Field
	note := func(mistake *problem.Field) {
		if mistake != nil {
			mistakes = append(mistakes, *mistake)
		}
	}
	if p.URL != nil {
		address, mistake := parseURL(*p.URL, s.anyTarget)
		note(mistake)
		if e.URL != address {
			e.LastDelivery = nil // it was to the old address
		}
		e.URL = address
	}
	if p.Description != nil {
		text, mistake := parseDescription(*p.Description)
		note(mistake)
		e.Description = text
	}
	if p.Enabled != nil {
		e.setEnabled(*p.Enabled, "switched off by its organization", s.now())
	}
	if mistakes != nil {
		return problem.Invalid(mistakes...)
	}
	return nil
}

// setEnabled keeps the time and the reason of an endpoint that is already disabled.
func (e *Endpoint) setEnabled(enabled bool, reason string, now time.Time) {
	switch {
	case enabled:
		e.DisabledAt, e.DisabledReason = time.Time{}, ""
	case e.DisabledAt.IsZero():
		e.DisabledAt, e.DisabledReason = now, reason
	}
}

// Remove removes an endpoint and its keys. Events that are not yet delivered to it are dropped. A
// repetition within a minute succeeds too, because a host may deliver a request without a body up
// to 40 times when it gets no answer. Errors: WebhookNotFound, UpstreamUnavailable.
//
// The writes: mark the row, which makes it invisible; delete the key. The row stays to tell a
// repetition, until the organization's endpoints are read after abandonedAfter.
func (s *Service) Remove(ctx context.Context, organization, id string) error {
	e, err := s.endpoints.Update(ctx, organization, id, func(e Endpoint) (Endpoint, error) {
		switch {
		case e.Live():
			e.RemovedAt = s.now()
			return e, nil
		case s.now().Sub(e.RemovedAt) < repeatedWithin:
			return Endpoint{}, errRemoved
		}
		return Endpoint{}, store.ErrNotFound
	})
	switch {
	case errors.Is(err, errRemoved):
		return nil
	case err != nil:
		return storeProblem(err, id)
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	s.logUnfinished(ctx, e, s.secrets.Delete(ctx, e.SecretName))
	return nil
}

// errRemoved ends the update in Remove without a change of a row that was just marked.
var errRemoved = errors.New("the endpoint was removed a moment ago")

// undo removes what Create had written before it failed with err, and returns err.
func (s *Service) undo(ctx context.Context, e Endpoint, err error) error {
	if errors.Is(err, store.ErrExists) {
		return err // another endpoint has the id
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	s.logUnfinished(ctx, e, s.discard(ctx, e, func(Endpoint) bool { return false }))
	return err
}

// logUnfinished logs what could not be removed, if err is not nil.
func (s *Service) logUnfinished(ctx context.Context, e Endpoint, err error) {
	if err != nil {
		s.log.WarnContext(ctx, "webhook.unfinished", "webhook", e.ID, "left", "to the next reading of the organization's webhooks", "cause", err.Error())
	}
}

// errKept ends the update in discard without a change of the row.
var errKept = errors.New("the endpoint is kept")

// discard marks a row and removes it, unless keep returns true for it. A marked row can never
// become live.
func (s *Service) discard(ctx context.Context, e Endpoint, keep func(Endpoint) bool) error {
	marked, err := s.endpoints.Update(ctx, e.Organization, e.ID, func(row Endpoint) (Endpoint, error) {
		if keep(row) {
			return Endpoint{}, errKept
		}
		if row.RemovedAt.IsZero() {
			row.RemovedAt = s.now()
		}
		return row, nil
	})
	switch {
	case errors.Is(err, errKept):
		return nil
	case errors.Is(err, store.ErrNotFound):
		return s.secrets.Delete(ctx, e.SecretName) // a key may have been stored after the row was removed
	case err != nil:
		return err
	}
	return s.removeMarked(ctx, marked)
}

// removeMarked removes a marked row, after its key.
func (s *Service) removeMarked(ctx context.Context, e Endpoint) error {
	if err := s.secrets.Delete(ctx, e.SecretName); err != nil {
		return err
	}
	return s.endpoints.Remove(ctx, e.Organization, e.ID)
}

// live returns the live endpoints, oldest first. It removes endpoints that were left incomplete.
func (s *Service) live(ctx context.Context, organization string) ([]Endpoint, error) {
	all, err := s.endpoints.List(ctx, organization)
	if err != nil {
		return nil, err
	}
	var live []Endpoint
	for _, e := range all {
		switch {
		case e.Live():
			live = append(live, e)
		case s.abandoned(e):
			s.logUnfinished(ctx, e, s.discard(ctx, e, Endpoint.Live)) // it may have become live since it was read
		}
	}
	slices.SortFunc(live, func(a, b Endpoint) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	return live, nil
}

// abandoned reports whether a row that is not live is too old for a call that still works on it.
func (s *Service) abandoned(e Endpoint) bool {
	since := e.CreatedAt
	if e.RemovedAt.After(since) {
		since = e.RemovedAt
	}
	return s.now().Sub(since) >= abandonedAfter
}

// checkLimit checks that the organization may have this many more endpoints. Incomplete endpoints
// count.
func (s *Service) checkLimit(ctx context.Context, organization string, more int) error {
	all, err := s.endpoints.List(ctx, organization)
	if err != nil {
		return storeProblem(err, "")
	}
	n := more
	for _, e := range all {
		if e.RemovedAt.IsZero() && !(len(e.Keys) == 0 && s.abandoned(e)) {
			n++
		}
	}
	if n > MaxEndpoints {
		return problem.New(problem.TooManyWebhooks, "Your organization has %d webhooks, as many as it may have. Remove one first, or change the address of one with PATCH.", MaxEndpoints)
	}
	return nil
}
