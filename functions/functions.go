package functions

import (
	"cmp"
	_ "embed"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"fhirlink/functions/manage"
	"fhirlink/functions/manage/view"
	"fhirlink/shared/caller"
	"fhirlink/shared/expiry"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/launch"
)

//go:embed openapi.yaml
var document []byte

//go:embed README.md
var guide string

// Deps is what the functions need. All fields are required except Origins, Limits, Aliases,
// Reach and Now.
type Deps struct {
	Links    *link.Service
	Tokens   *tokens.Service
	SMART    *smartauth.Service
	Launch   *launch.Service
	EHR      *ehr.Service
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

	SignIn    manage.SignIn // who looks at the pages; nil: nobody can
	Service   view.Service  // whose pages these are
	PublicURL string        // the origin of this deployment; empty: none
	Mail      bool          // a mail server is set

	made *pages
}

// pages are made once.
type pages struct {
	once    sync.Once
	handler *manage.Handler
}

func (d Deps) pages() *manage.Handler {
	d.made.once.Do(func() {
		service := d.Service
		service.Name, service.Version = cmp.Or(service.Name, "fhirlink"), d.Version
		h, err := manage.New(manage.Deps{
			Links: d.Links, Webhooks: d.Webhooks, Servers: d.Servers, SignIn: d.SignIn, Limits: d.Limits, Aliases: d.Aliases, Service: service,
			Program: d.Program, Guide: guide, Mail: d.Mail, Now: d.Now,
		}, d.PublicURL)
		if err != nil {
			panic(err) // the templates are part of the program, and the settings were checked
		}
		d.made.handler = h
	})
	return d.made.handler
}

// The rate limit of the routes that count against one, per organization and instance.
const (
	PerMinute = 60
	Burst     = 200
)

// New returns the handler of Routes and GET /, which cmd/local and cmd/lambda serve.
func New(d Deps) http.Handler {
	d = d.withDefaults()
	return d.serve(slices.Concat(d.Routes(), d.Pages(), []Route{root}))
}

// NewBehindHost returns the handler of Routes, GET / and Triggers, for a program behind the
// Azure Functions host.
func NewBehindHost(d Deps) http.Handler {
	d = d.withDefaults()
	return d.serve(slices.Concat(d.Routes(), d.Pages(), []Route{root}, d.Triggers()))
}

func (d Deps) withDefaults() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	d.made = &pages{}
	return d
}
