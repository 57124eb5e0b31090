package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

const (
	// MaxEndpoints is the limit of endpoints per organization.
	MaxEndpoints = 5
	// Overlap is how long a replaced key signs beside its successor.
	Overlap = 24 * time.Hour
	// Timeout is the time limit of one attempt, including the answer.
	Timeout = 15 * time.Second

	// maxKeys is the limit of keys that sign at the same time, however often they are replaced.
	maxKeys = 4
	// repeatedWithin is how long the answer to a removal is repeated.
	repeatedWithin = time.Minute
	// abandonedAfter is how old an incomplete endpoint must be before another call removes it.
	abandonedAfter = 15 * time.Minute
)

// Deps holds the dependencies of a Service. All fields but the last three are required.
type Deps struct {
	Endpoints Store
	Secrets   secret.Store
	Client    *http.Client // the guarded client of package egress

	AnyTarget bool             // whether addresses are checked only when dialled (FHIRLINK_EGRESS_ALLOW is set)
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default()
}

// Service manages endpoints and delivers events to them. Every method acts only on the endpoints
// of the given organization, and treats those of others as if they did not exist.
//
// Errors that may be shown to callers are *problem.Error.
type Service struct {
	endpoints Store
	secrets   secret.Store
	client    http.Client // never follows a redirect
	anyTarget bool
	now       func() time.Time
	log       *slog.Logger
}

// New returns a Service. It makes no request and starts no goroutine.
func New(d Deps) *Service {
	s := &Service{endpoints: d.Endpoints, secrets: d.Secrets, anyTarget: d.AnyTarget, now: d.Now, log: d.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if d.Client != nil {
		s.client = *d.Client
	}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// List returns the organization's endpoints, oldest first.
func (s *Service) List(ctx context.Context, organization string) ([]Endpoint, error) {
	live, err := s.live(ctx, organization)
	return live, storeProblem(err, "")
}

// Get returns an endpoint of the organization.
func (s *Service) Get(ctx context.Context, organization, id string) (Endpoint, error) {
	e, err := s.find(ctx, organization, id)
	return e, storeProblem(err, id)
}

// find returns a live endpoint, or ErrNotFound.
func (s *Service) find(ctx context.Context, organization, id string) (Endpoint, error) {
	all, err := s.endpoints.List(ctx, organization)
	if err != nil {
		return Endpoint{}, err
	}
	for _, e := range all {
		if e.ID == id && e.Live() {
			return e, nil
		}
	}
	return Endpoint{}, store.ErrNotFound
}

// update changes a live endpoint, or returns ErrNotFound.
func (s *Service) update(ctx context.Context, organization, id string, change func(Endpoint) Endpoint) (Endpoint, error) {
	return s.endpoints.Update(ctx, organization, id, func(e Endpoint) (Endpoint, error) {
		if !e.Live() {
			return Endpoint{}, store.ErrNotFound
		}
		return change(e), nil
	})
}

// storeProblem turns a store's error into an error that may be shown to callers.
func storeProblem(err error, id string) error {
	var told *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case errors.Is(err, store.ErrNotFound):
		return problem.New(problem.WebhookNotFound, "Your organization has no webhook %.64q: it was deleted, or the id is wrong (API: GET /api/webhooks lists your webhooks).", id)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem.Unavailable(err, 5*time.Second, "The table of webhooks did not answer. Nothing is wrong with your request: send it again in a few seconds.")
	}
	return fmt.Errorf("webhook %s: %w", id, err)
}

// vaultProblem does the same for errors of the secret store.
func vaultProblem(err error, id string) error {
	if errors.Is(err, secret.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return problem.Unavailable(err, 10*time.Second, "The store of secrets did not answer. Nothing was changed: send the request again in a few seconds.")
	}
	return fmt.Errorf("signing key of webhook %s: %w", id, err)
}

// randomID returns a random id of 130 bits: lower-case letters and digits.
func randomID() string { return strings.ToLower(rand.Text()) }

// detached returns a context for work that must finish even if the request has ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
