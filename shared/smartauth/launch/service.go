package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/seal"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// Servers is the part of [smartauth.Service] that knows the authorization servers.
type Servers interface {
	Server(ctx context.Context, slug string) (smartauth.Server, error)
	Issuer(slug string) string
}

// Clients acts as the applications of links; [tokens.Service] implements it.
type Clients interface {
	// As calls do with the credentials of a link's application, and once more with the previous ones
	// where those stand in. It returns do's error, or that of reading the credentials.
	As(ctx context.Context, l link.Link, do func(context.Context, entra.Credentials) error) error
}

// IDTokens validates what Entra says of a user; [entra.Applications] implements it.
type IDTokens interface {
	Validate(ctx context.Context, c entra.Credentials, token, nonce string) (entra.SignedIn, error)
}

// Signer signs tokens, and publishes the keys for it; [signer.Signer] implements it.
type Signer interface {
	Keys(ctx context.Context) ([]jose.JSONWebKey, error)
	Sign(ctx context.Context, typ string, claims any) (string, error)
}

// Deps is what a Service works with. All are required.
type Deps struct {
	Servers   Servers
	Clients   Clients
	SignIns   entra.SignIns
	Tokens    entra.TokenSource // for backend services with Entra's tokens
	IDTokens  IDTokens
	Signer    Signer
	AppKeys   client.Keys // those that apps publish
	Rows      store.Rows
	Sealer    *seal.Sealer
	Authorize func(link.Link) string // Entra's authorize endpoint for the link's tenant, as browsers reach it
	Log       *slog.Logger           // gets one event for each sign-in and each token
	Now       func() time.Time
}

// Service signs users in for apps, and grants apps what those users let them have. It does so for any
// link that is an authorization server.
type Service struct {
	Deps
	clients client.Authenticator
}

// New makes a Service. It does nothing else.
func New(d Deps) *Service {
	return &Service{d, client.Authenticator{Keys: d.AppKeys, Rows: d.Rows, Issuer: d.Servers.Issuer, Now: d.Now}}
}

// server is the authorization server of a link.
type server struct{ smartauth.Server }

// served is what grants are about. A link that is changed to another server or tenant has none of the earlier
// grants.
func (s server) served() string { return s.Served() }

// Client returns what requests of a client are limited by. An app that is not there has the same as all
// others that are not, so that strangers can fill no memory. Errors: smartauth.ErrUnknown,
// UpstreamUnavailable.
func (s *Service) Client(ctx context.Context, slug, clientID string) (key string, err error) {
	server, err := s.server(ctx, slug)
	if err != nil {
		return "", err
	}
	if _, ok := server.App(clientID); !ok {
		return slug, nil
	}
	return slug + " " + clientID, nil
}

func (s *Service) server(ctx context.Context, slug string) (server, error) {
	found, err := s.Servers.Server(ctx, slug)
	return server{found}, err
}

func (s *Service) handles() handle.Store { return handle.Store{Rows: s.Rows, Sealer: s.Sealer} }

// errChanged means that a row was changed by others again and again.
var errChanged = fmt.Errorf("%w: changed by others again and again", store.ErrUnavailable)

// attempts limits how often a change is retried because of concurrent writes.
const attempts = 8

// ignore returns nil for the errors that are listed.
func ignore(err error, these ...error) error {
	for _, one := range these {
		if errors.Is(err, one) {
			return nil
		}
	}
	return err
}
