package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/functions"
	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/functions/cmd/local/sandbox/resource"
	"fhirlink/functions/manage/view"
	"fhirlink/shared/caller"
	"fhirlink/shared/config"
	"fhirlink/shared/egress"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/entra/graph"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/seal"
	secretbolt "fhirlink/shared/secret/bolt"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/launch"
	storebolt "fhirlink/shared/store/bolt"
	"fhirlink/shared/upstream"
	"fhirlink/shared/verification"
)

// program is everything between the command line and the listener.
type program struct {
	handler   http.Handler
	stores    *storebolt.Store
	sealer    *seal.Sealer
	smart     *smartauth.Service
	launch    *launch.Service
	ehr       *ehr.Service
	resources *resource.Server // nil: there is no sandbox
	app       string           // URL of the sandbox's SMART app; empty: there is none
	secrets   *secretbolt.Store
	verifier  *verification.Verifier
	links     *link.Service
	tokens    *tokens.Service
	webhooks  *webhook.Service
	sweep     expiry.Sweep
	hint      string         // for the banner: how people sign in; empty: they need not
	closers   []func() error // in the order of opening
}

// newProgram assembles the functions over the stores in the data folder. It makes no request.
func newProgram(o options, c config.Config, log *slog.Logger) (p *program, err error) {
	p = &program{}
	metrics := newMetrics()
	log = metrics.counting(log)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	db, err := openData(o.data)
	if err != nil {
		return p, err
	}
	p.closers = append(p.closers, db.Close)
	clients, err := p.connect(o, c, log)
	if err != nil {
		return p, err
	}
	watch := &upstream.Watch{}
	if err := p.open(db, o, c, clients.watchedBy(watch), log); err != nil {
		return p, err
	}
	metrics.registry.MustRegister(&census{rows: p.stores.Rows, now: o.ahead.now})
	p.sweep = expiry.Sweep{
		Links: p.links, Trail: trail.Trimmer{Store: p.stores, Cells: p.stores, Days: c.TrailDays, Now: o.ahead.now}, Launches: handle.Trimmer{Rows: p.stores.KeyedRows(), Now: o.ahead.now},
		Cells: p.stores, Now: o.ahead.now, Log: log,
	}
	signIn, authority, err := p.people(o, c, clients, log)
	if err != nil {
		return p, err
	}
	tokens := bearer(c)
	public := functions.New(functions.Deps{
		Links:    p.links,
		Tokens:   p.tokens,
		SMART:    p.smart,
		Launch:   p.launch,
		EHR:      p.ehr,
		Webhooks: p.webhooks,
		Servers:  discovery.Service{Verifier: p.verifier, AnyTarget: len(c.EgressAllow) > 0, Now: o.ahead.now},
		Callers:  callers{tokens},
		Sweep:    p.sweep,
		Origins:  c.Origins,
		Aliases:  c.ScopeAliases,
		Reach:    watch.Reachable,
		Log:      log,
		Now:      o.ahead.now,
		Program:  "local",
		Version:  version,

		SignIn:    signIn,
		Service:   view.Service{Name: c.ServiceName, Support: c.Support, Privacy: c.PrivacyURL},
		PublicURL: c.PublicURL,
		Mail:      c.Mail.Host != "" || clients.box != nil,
	})
	if clients.box != nil {
		public = clients.box.Controls(public)
	}
	public = metrics.with(public)
	refuser := refuser{log}
	if tokens == nil {
		public = refuser.refuseTokens(public)
	}
	public = p.withResources(public) // they judge tokens themselves
	p.handler, err = newGuard(refuser.checkOrganization(public), c.Origins, authority, refuser)
	return p, err
}

// clients holds the clients for the servers outside, or for those of the sandbox.
type clients struct {
	servers   *http.Client // FHIR servers
	entra     *http.Client
	graph     *http.Client
	appKeys   *http.Client // key sets that SMART apps publish
	webhooks  *http.Client // FHIRLINK_EGRESS_ALLOW does not apply here
	authority func(fhir.BaseURL) string
	kind      func(fhir.BaseURL) fhir.Kind // nil: decided by the host name
	box       *sandbox.Sandbox             // nil: there is none
	site      *browser.Site                // where browsers meet the sandbox's Entra; nil: there is none
}

// authorize returns where the users of a link sign in.
func (out clients) authorize(l link.Link) string {
	server, err := l.Server()
	switch {
	case err != nil: // the stored URL is damaged, and its tokens would be refused
		return entra.AuthorizeURL(config.DefaultAuthority, l.TenantID)
	case out.site != nil && sandbox.Owns(server):
		return entra.AuthorizeURL(out.site.URL+"/", l.TenantID)
	}
	return entra.AuthorizeURL(out.authority(server), l.TenantID)
}

// watchedBy returns a copy in which watch sees every call.
func (out clients) watchedBy(watch *upstream.Watch) clients {
	out.servers = watch.Client(upstream.FHIR, out.servers)
	out.entra = watch.Client(upstream.Entra, out.entra)
	out.graph = watch.Client(upstream.Graph, out.graph)
	out.webhooks = watch.Client(upstream.Webhook, out.webhooks)
	return out
}

// connect prepares the clients. FHIR servers, Entra and Graph share one.
func (p *program) connect(o options, c config.Config, log *slog.Logger) (out clients, err error) {
	out.authority = authority(c)
	if !o.sandbox {
		out.use(egress.NewClient(egress.Options{Allow: c.EgressAllow}), egress.NewClient(egress.Options{}))
		return out, nil
	}
	sink, err := sandbox.NewSink(filepath.Join(o.data, sinkFile), log)
	if err != nil {
		return out, err
	}
	box, err := sandbox.New(sink)
	if err != nil {
		return out, err
	}
	p.closers = append(p.closers, box.Close)
	roots, err := x509.SystemCertPool()
	if err != nil {
		return out, fmt.Errorf("the system's certificates cannot be read: %w", err)
	}
	box.Trust(roots)
	out.use(egress.NewClient(egress.Options{Allow: c.EgressAllow, Intercept: box.Intercept, RootCAs: roots}),
		egress.NewClient(egress.Options{Intercept: box.Intercept, RootCAs: roots}))
	out.box, out.kind = box, box.Kind
	if out.site, err = box.OpenToBrowsers(c.PublicURL); err != nil {
		return out, err
	}
	out.site.Now = o.ahead.now
	return out, nil
}

func (out *clients) use(servers, webhooks *http.Client) {
	out.servers, out.entra, out.graph, out.appKeys, out.webhooks = servers, servers, servers, servers, webhooks
}

// authority returns where the credentials of a link are sent. Those for the sandbox's servers go
// to the sandbox, even when it is switched off, and all others to the configured authority. Only
// the link's host decides, never what a server advertises.
func authority(c config.Config) func(fhir.BaseURL) string {
	return func(b fhir.BaseURL) string {
		if sandbox.Owns(b) {
			return sandbox.Authority
		}
		return c.Authority
	}
}

// open assembles the links over the data folder.
func (p *program) open(db *bbolt.DB, o options, c config.Config, out clients, log *slog.Logger) error {
	stores, err := storebolt.New(db)
	if err != nil {
		return err
	}
	secrets, err := secretbolt.New(db, filepath.Join(o.data, keyFile))
	if err != nil {
		return err
	}
	p.stores, p.secrets = stores, secrets
	p.sealer = &seal.Sealer{Keys: seal.NewKeys(c.Seal, secrets, o.ahead.now, log), PublicURL: c.PublicURL, Now: o.ahead.now}
	p.webhooks = webhook.New(webhook.Deps{
		Endpoints: stores.Endpoints(), Secrets: secrets, Client: out.webhooks, Log: log,
	})
	source := &clientcred.Source{Client: out.entra}
	p.verifier = &verification.Verifier{Client: out.servers, Tokens: source, Authority: out.authority, PublicURL: c.PublicURL, Kind: out.kind}
	p.links = link.New(link.Deps{
		Stores:     stores,
		Secrets:    secrets,
		Verifier:   p.verifier,
		Tokens:     shiftedSource{source, o.ahead},
		Authority:  out.authority,
		Channel:    p.webhooks,
		Mailer:     mailer(c, out.box),
		Ends:       &graph.Client{HTTP: out.graph, Tokens: source},
		Thresholds: c.ExpiryThresholds,
		AnyTarget:  len(c.EgressAllow) > 0,
		MaxLinks:   c.MaxLinks,
		Now:        o.ahead.now,
		Log:        log,
	})
	p.tokens = tokens.New(tokens.Deps{
		Links: p.links, Rows: stores, Secrets: secrets, Source: shiftedSource{source, o.ahead}, Authority: out.authority,
		Now: o.ahead.now, Log: log,
	})
	return p.serveApps(o, c, out, log)
}

// mailer returns the configured mail server, otherwise the sandbox's sink, otherwise nil.
func mailer(c config.Config, box *sandbox.Sandbox) notify.Mailer {
	switch {
	case c.Mail.Host != "":
		return c.Mail
	case box != nil:
		return box.Sink
	}
	return nil
}

// bearer validates callers' tokens as the cloud does. It returns nil unless audience and tenants
// are set.
func bearer(c config.Config) caller.Authenticator {
	if !checksTokens(c) {
		return nil
	}
	return caller.Bearer{Tokens: configured(c, nil)}
}

func checksTokens(c config.Config) bool { return len(c.Audiences) > 0 && len(c.Tenants) > 0 }

// configured validates tokens of the configured authority.
func configured(c config.Config, now func() time.Time) *entra.AccessTokens {
	return entra.NewAccessTokens(entra.AccessTokensConfig{
		Authority: c.Authority, Audiences: c.Audiences, Tenants: c.Tenants, OperatorTenant: c.OperatorTenant, Now: now,
	})
}

// close closes what newProgram opened, in reverse order.
func (p *program) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}
