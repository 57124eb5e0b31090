package webhook

import (
	"context"
	"errors"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

var _ notify.Channel = (*Service)(nil)

// deliverTimeout is the time limit of one attempt, including the reads of the row and the keys.
const deliverTimeout = 20 * time.Second

// channel is the name of the Service as a [notify.Channel].
const channel = "webhook"

// Name implements [notify.Channel].
func (s *Service) Name() string { return channel }

// Targets implements [notify.Channel]. It returns the organization's enabled endpoints.
func (s *Service) Targets(ctx context.Context, organization string) ([]notify.Target, error) {
	live, err := s.live(ctx, organization)
	if err != nil {
		return nil, err
	}
	var targets []notify.Target
	for _, e := range live {
		if e.Enabled() {
			targets = append(targets, notify.Target{Channel: channel, ID: e.ID})
		}
	}
	return targets, nil
}

// Deliver implements [notify.Channel].
func (s *Service) Deliver(ctx context.Context, organization string, t notify.Target, event notify.Event) notify.Result {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	e, err := s.find(ctx, organization, t.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notify.Result{Outcome: notify.Gone, Reason: "the endpoint was removed"}
	case err != nil:
		return notify.Result{Outcome: notify.Retry, Reason: "the table of webhooks did not answer"}
	case !e.Enabled():
		return notify.Result{Outcome: notify.Gone, Reason: "the endpoint is disabled"}
	}
	return s.attempt(ctx, e, event)
}

// Test sends a test event to the endpoint at once, even if the endpoint is disabled, and returns
// the result. Errors: WebhookNotFound, UpstreamUnavailable.
func (s *Service) Test(ctx context.Context, organization, id string) (notify.Event, notify.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	e, err := s.find(ctx, organization, id)
	if err != nil {
		return notify.Event{}, notify.Result{}, storeProblem(err, id)
	}
	event := notify.Event{
		ID: notify.ID(randomID()), Type: notify.WebhookTest, Time: s.now(), Organization: organization,
		Message: "This is a test: somebody asked for it with POST /api/webhooks/" + id + "/test. Nothing has happened to any link.",
	}
	return event, s.attempt(ctx, e, event), nil
}

// attempt signs and sends the event, and writes down how that ended. It disables an endpoint that
// answers 410.
func (s *Service) attempt(ctx context.Context, e Endpoint, event notify.Event) notify.Result {
	body, err := event.CloudEvent()
	if err != nil {
		return notify.Result{Outcome: notify.Gone, Reason: "the event cannot be written: " + err.Error()}
	}
	now := s.now()
	keys, err := s.keys(ctx, e.SecretName, e.signing(now))
	if err != nil {
		s.noteDelivery(ctx, e, Delivery{At: now, Type: event.Type, Outcome: HeardUnreachable, Reason: keyReason(err)}, false)
		return notify.Result{Outcome: notify.Retry, Reason: keyReason(err)}
	}
	result, heard := s.post(ctx, message{
		url: e.URL, id: event.ID, at: now, body: body, signature: signature(keys, event.ID, now, body),
	})
	gone := heard == HeardRefused && result.Outcome == notify.Gone
	s.noteDelivery(ctx, e, Delivery{At: now, Type: event.Type, Outcome: heard, Reason: result.Reason}, gone)
	return result
}

// keys fetches the signing keys. A replaced key may be missing, but not the newest one.
func (s *Service) keys(ctx context.Context, name string, signing []Key) ([][]byte, error) {
	var keys [][]byte
	for i, k := range signing {
		value, err := s.secrets.Get(ctx, name, k.Version)
		if i > 0 && errors.Is(err, secret.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		key, err := decodeKey(value)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func keyReason(err error) string {
	if errors.Is(err, secret.ErrUnavailable) {
		return "the store of secrets did not answer"
	}
	return "the endpoint's signing key cannot be used: replace it (API: POST /api/webhooks/{id}/rotate)"
}
