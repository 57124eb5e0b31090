package functions

import (
	_ "embed"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/expiry"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/smart"
)

//go:embed openapi.yaml
var document []byte

// Deps is what the functions need. All fields are required except Origins, Limits, Aliases,
// Reach and Now.
type Deps struct {
	Links    *link.Service
	Tokens   *tokens.Service
	Webhooks *webhook.Service
	Servers  discovery.Service    // not linked yet
	Callers  caller.Authenticator // caller.Bearer in the cloud
	Sweep    expiry.Sweep
	Origins  []string               // of web front ends
	Limits   *httpx.RateLimit       // per organization; nil: no limit
	Aliases  smart.Aliases          // of scopes, for translate-scope
	Reach    func() map[string]bool // upstream.Watch.Reachable, for health
	Log      *slog.Logger           // from eventlog.New: it must not block
	Now      func() time.Time       // time.Now when nil
	Program  string                 // local, azure or lambda
	Version  string
}

// The rate limit of the routes that count against one, per organization and instance.
const (
	PerMinute = 60
	Burst     = 200
)

// New returns the handler of Routes and GET /, which cmd/local and cmd/lambda serve.
func New(d Deps) http.Handler {
	d = d.withDefaults()
	return d.serve(append(d.Routes(), root))
}

// NewBehindHost returns the handler of Routes, GET / and Triggers, for a program behind the
// Azure Functions host.
func NewBehindHost(d Deps) http.Handler {
	d = d.withDefaults()
	return d.serve(append(append(d.Routes(), root), d.Triggers()...))
}

func (d Deps) withDefaults() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}
