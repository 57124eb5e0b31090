package smartauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/flight"
	"fhirlink/shared/link"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/signer"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/guidance"
)

// ErrUnknown means that there is no authorization server of this slug: no link, none that is live, or
// one whose organization has not switched SMART on. Nobody learns which.
var ErrUnknown = &oauth.Error{
	Code: oauth.InvalidRequest, Status: http.StatusNotFound,
	Description: "There is no authorization server at this address. Compare it with the address that the organization gave you.",
}

// Keys is the part of [signer.Signer] that publishes the signing keys.
type Keys interface {
	Keys(ctx context.Context) ([]jose.JSONWebKey, error)
}

// Server is the authorization server of a link, as apps and FHIR servers see it.
type Server struct {
	Link     link.Link
	Settings Settings // with every default filled in
	Apps     []App    // sorted by client id

	more       []string          // FHIR bases of Deps.MoreBaseURLs
	translator *smart.Translator // nil with tokens of our own
	authority  string            // of Entra: https://{host}/
	metadata   Metadata          // made once for each reading
}

// Notes are what will not work as the organization may expect.
func (s Server) Notes() []string { return append([]string{}, guidance.Notes(s.Settings.guided())...) }

// Snippets are what to set at the FHIR server, so that it trusts the issuer.
func (s Server) Snippets(issuer string) guidance.Snippets {
	l := s.Settings.guided()
	l.Issuer, l.TokenAudience = issuer, s.Settings.Audience(s.Link)
	l.EntraAudience, l.Authority, l.TenantID = s.Resource(), s.authority, s.Link.TenantID
	return guidance.Of(l)
}

// guided is what package guidance is told of the settings, whose defaults are filled in.
func (s Settings) guided() guidance.Link {
	return guidance.Link{
		Tokens: guidance.Tokens(s.Tokens), Server: guidance.Server(s.Server), ServerClientID: s.ServerClientID,
		Compartment: string(s.Compartment), AccessTokenRoles: *s.AccessTokenRoles, Dialect: string(s.Spelling.Dialect), Separator: s.Spelling.Separator,
	}
}

// BaseURLs are the FHIR bases under which apps know the link's server, its own first.
func (s Server) BaseURLs() []string {
	return slices.Concat([]string{s.Link.FHIRServerURL}, s.Settings.FHIRBaseURLs, s.more)
}

// Served is what launches and grants are about: the FHIR server, whose patients they name, and the tenant of
// its users.
func (s Server) Served() string { return s.Link.TenantID + " " + s.Link.FHIRServerURL }

// App returns an app by its client id.
func (s Server) App(clientID string) (App, bool) {
	i := slices.IndexFunc(s.Apps, func(a App) bool { return a.ClientID == clientID })
	if i < 0 {
		return App{}, false
	}
	return s.Apps[i], true
}

// How long a server is remembered, as links' rows are: other instances learn of a change within fresh.
// While the database is down it goes on serving for stale, but never after a reading that said it is gone.
const (
	serverFresh   = 30 * time.Second
	serverStale   = 10 * time.Minute
	serverPause   = 5 * time.Second
	serverTimeout = 5 * time.Second
	serverWait    = 500 * time.Millisecond // for a newer one
)

// maxServers bounds how many authorization servers are remembered. One with a hundred apps of many scopes
// takes some megabytes, a usual one some kilobytes.
const maxServers = 1000

// servers remembers the authorization servers that are there, the latest that were asked for.
type servers struct {
	mu   sync.Mutex
	kept *lru.Cache[string, *flight.Kept[*Server]] // by slug; nil: none yet
}

func (c *servers) of(slug string, read func(context.Context) (*Server, error), now func() time.Time) *flight.Kept[*Server] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		kept, err := lru.New[string, *flight.Kept[*Server]](maxServers)
		if err != nil {
			panic(err) // the size is a positive constant
		}
		c.kept = kept
	}
	if k, ok := c.kept.Get(slug); ok {
		return k
	}
	k := &flight.Kept[*Server]{Read: read, Fresh: serverFresh, Stale: serverStale, Pause: serverPause, Timeout: serverTimeout, Wait: serverWait, Now: now}
	c.kept.Add(slug, k)
	return k
}

func (c *servers) forget(slug string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil {
		c.kept.Remove(slug)
	}
}

// Server returns the authorization server of a link, which may be up to 30 s old. Errors: ErrUnknown,
// UpstreamUnavailable.
func (s *Service) Server(ctx context.Context, slug string) (Server, error) {
	if _, mistake := link.ParseSlug(slug); mistake != nil || s.PublicURL == "" {
		return Server{}, ErrUnknown
	}
	kept := s.servers.of(slug, func(ctx context.Context) (*Server, error) { return s.readServer(ctx, slug) }, s.Now)
	found, err := kept.Get(ctx)
	if kept.Last() == nil { // nothing is remembered of it, so that strangers cannot fill the memory
		s.servers.forget(slug)
	}
	switch {
	case err != nil:
		return Server{}, Unavailable(err)
	case found == nil:
		return Server{}, ErrUnknown
	}
	return *found, nil
}

// readServer returns nil when there is none.
func (s *Service) readServer(ctx context.Context, slug string) (*Server, error) {
	l, err := s.Links.Live(ctx, slug)
	var settings Settings
	if err == nil {
		settings, _, err = s.settings(ctx, l)
	}
	switch code := problem.CodeOf(err); {
	case err != nil && (code == problem.LinkNotFound || code == problem.SMARTNotEnabled):
		return nil, nil
	case err != nil:
		return nil, err
	}
	server, err := s.with(ctx, l, settings)
	if err == nil && settings.Tokens == OfEntra {
		err = s.allRegistered(ctx, l, server.Apps)
	}
	if err != nil {
		return nil, err
	}
	server.metadata = describe(server, s.Issuer(slug))
	return &server, nil
}

// Forget makes the next request for the authorization server of a link read it anew.
func (s *Service) Forget(slug string) { s.servers.forget(slug) }

// KeySet returns the public keys of what the authorization server of a link signs and, with Entra's tokens, of
// what Entra signs for the FHIR server. Errors: ErrUnknown, UpstreamUnavailable.
func (s *Service) KeySet(ctx context.Context, slug string) (jose.JSONWebKeySet, error) {
	server, err := s.Server(ctx, slug)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	keys, err := s.Keys.Keys(ctx)
	if err == nil && server.Settings.Tokens == OfEntra && s.TenantKeys != nil {
		keys = slices.Concat(keys, s.TenantKeys(ctx, server.Link, server.Resource()))
	}
	return jose.JSONWebKeySet{Keys: keys}, Unavailable(err)
}

// keyProblem explains to an organization why the signing key cannot be used.
func keyProblem(err error) error {
	if errors.Is(err, signer.ErrNone) {
		return problem.New(problem.SMARTNotConfigured, "This deployment has no signing key, without which no token can be made. Whoever runs it makes the key that FHIRLINK_SMART_KEY names, RSA with 2048 bits.")
	}
	return Unavailable(err)
}
