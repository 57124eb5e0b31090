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
	// MaxEndpoints is how many endpoints an organization may have.
	MaxEndpoints = 5
	// Overlap is how long a replaced key goes on signing beside its successor.
	Overlap = 24 * time.Hour
	// Timeout is how long one attempt may take, the answer included.
	Timeout = 15 * time.Second

	// maxKeys is how many keys sign at most, however often they are replaced.
	maxKeys = 4
	// grace is how old an endpoint must be that was left half made or half removed before
	// somebody else removes it.
	grace = 15 * time.Minute
)

// Deps is what a Service works with. All fields but the last three are required.
type Deps struct {
	Endpoints Store
	Secrets   secret.Store
	Client    *http.Client // the guarded one of package egress

	AnyTarget bool             // addresses are judged when dialled (FHIRLINK_EGRESS_ALLOW is set)
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default()
}

// Service manages endpoints and delivers to them. Every method acts on the endpoints of the
// organization it is given only; another's is as if it did not exist.
//
// Errors that callers may be told are *problem.Error.
type Service struct {
	endpoints Store
	secrets   secret.Store
	client    http.Client // never follows a redirect
	anyTarget bool
	now       func() time.Time
	log       *slog.Logger
}

// New makes a Service. It does nothing else: no network, no goroutine.
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

// storeProblem turns a store's error into what a caller may be told.
func storeProblem(err error, id string) error {
	var told *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case errors.Is(err, store.ErrNotFound):
		return problem.New(problem.WebhookNotFound, "Your organization has no webhook %.64q. Check the id, or list your webhooks with GET /api/webhooks.", id)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem.Unavailable(err, 5*time.Second, "The table of webhooks did not answer. Nothing is wrong with your request: send it again in a few seconds.")
	}
	return fmt.Errorf("webhook %s: %w", id, err)
}

// vaultProblem does the same for the secret store.
func vaultProblem(err error, id string) error {
	if errors.Is(err, secret.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return problem.Unavailable(err, 10*time.Second, "The store of secrets did not answer. Nothing was changed: send the request again in a few seconds.")
	}
	return fmt.Errorf("signing key of webhook %s: %w", id, err)
}

// word is a random word of 130 bits, lower case letters and digits.
func word() string { return strings.ToLower(rand.Text()) }

// aside is a context for work that must be done although the request has ended.
func aside(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
