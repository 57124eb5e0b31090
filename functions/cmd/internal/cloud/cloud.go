package cloud

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/go-jose/go-jose/v4"

	"fhirlink/functions"
	"fhirlink/functions/manage"
	"fhirlink/functions/manage/view"
	"fhirlink/shared/caller"
	"fhirlink/shared/config"
	"fhirlink/shared/egress"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/graph"
	"fhirlink/shared/entra/tenantkeys"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/application"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/eventgrid"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/keyvault"
	"fhirlink/shared/signer"
	vaultkey "fhirlink/shared/signer/keyvault"
	"fhirlink/shared/signin"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/smartauth/launch"
	"fhirlink/shared/store/aztable"
	"fhirlink/shared/upstream"
	"fhirlink/shared/verification"
)

// table is the name of the table of links.
const table = "links"

// Functions returns what the functions need, over the services that c names. identity opens the
// vaults, and the table too unless a connection string does. It makes no request.
func Functions(c config.Config, identity azcore.TokenCredential, log *slog.Logger) (functions.Deps, error) {
	_, _, deps, err := assemble(c, identity, log)
	return deps, err
}

// assemble also returns the dependencies of the services in deps.
func assemble(c config.Config, identity azcore.TokenCredential, log *slog.Logger) (of link.Deps, hooks webhook.Deps, deps functions.Deps, err error) {
	watch := &upstream.Watch{}
	identity = loggedCredential{identity, watch, log}
	tables, err := tables(c, identity, watch)
	if err != nil {
		return of, hooks, deps, err
	}
	stores, rows := aztable.New(tables.NewClient(table)), aztable.New(tables.NewClient(c.SmartTable)).KeyedRows()
	secrets, err := secrets(c, identity, watch)
	if err != nil {
		return of, hooks, deps, err
	}
	var (
		authority = func(fhir.BaseURL) string { return c.Authority }
		sealer    = &seal.Sealer{Keys: seal.NewKeys(c.SealIn(), secrets, nil, log), PublicURL: c.PublicURL}
		microsoft = microsoftClient()
		toEntra   = watch.Client(upstream.Entra, microsoft)
		source    = &clientcred.Source{Client: toEntra}
		guarded   = egress.NewClient(egress.Options{Allow: c.EgressAllow})
		servers   = watch.Client(upstream.FHIR, guarded)
	)
	// FHIRLINK_EGRESS_ALLOW is for FHIR servers, and for the key sets of their apps (jwksUri), which may stand beside
	// them. Who manages an organization's links names both. We only read there, and of a key set's address strangers
	// learn only whether keys can be fetched. Webhooks are named by the same people, but are sent events by POST,
	// which can change something at any address that takes it, and nothing in a private network needs them: they stay
	// public.
	hooks = webhook.Deps{
		Endpoints: stores.Endpoints(), Secrets: secrets, Log: log,
		Client: watch.Client(upstream.Webhook, egress.NewClient(egress.Options{})),
	}
	webhooks := webhook.New(hooks)
	channels, err := channels(c, identity, watch.Client(upstream.EventGrid, microsoft), webhooks)
	if err != nil {
		return of, hooks, deps, err
	}
	verifier := &verification.Verifier{Client: servers, Tokens: source, Authority: authority, PublicURL: c.PublicURL}
	of = link.Deps{
		Stores:     stores,
		Secrets:    secrets,
		Verifier:   verifier,
		Tokens:     source,
		Authority:  authority,
		Channel:    channels,
		Mailer:     mailer(c),
		Ends:       &graph.Client{HTTP: watch.Client(upstream.Graph, microsoft), Tokens: source},
		Thresholds: c.ExpiryThresholds,
		AnyTarget:  len(c.EgressAllow) > 0,
		MaxLinks:   c.MaxLinks,
		Log:        log,
	}
	links := link.New(of)
	tokens := tokens.New(tokens.Deps{
		Links: links, Rows: stores, Secrets: secrets, Source: source, Authority: authority, Log: log,
	})
	key, err := signingKey(c, identity, watch, log)
	if err != nil {
		return of, hooks, deps, err
	}
	tenantKeys := tenantkeys.New(toEntra, time.Now)
	smart := smartauth.New(smartauth.Deps{
		Rows: rows, Links: smartauth.LinksOf(links, stores.Get), Keys: key, PublicURL: c.PublicURL, AnyTarget: len(c.EgressAllow) > 0, Authority: authority, Now: time.Now,
		Aliases: c.ScopeAliases,
		TenantKeys: func(ctx context.Context, l link.Link, resource string) []jose.JSONWebKey {
			return tenantKeys.Of(ctx, c.Authority, l.TenantID, resource)
		},
		Registrations: application.Registrations{Rows: link.AppRows{Service: links}, AnyTarget: len(c.EgressAllow) > 0},
	})
	links.OnWrite(func(slug link.Slug) { smart.Forget(string(slug)) })
	links.KeepsApps(smart)
	validator := entra.NewAccessTokens(callers(c, toEntra))
	return of, hooks, functions.Deps{
		Links:  links,
		Tokens: tokens,
		SMART:  smart,
		Launch: launch.New(launch.Deps{
			Servers: smart, Clients: tokens, SignIns: &webauth.SignIns{Client: toEntra}, Tokens: source, IDTokens: entra.NewApplications(toEntra, nil), Signer: key, AppKeys: jwks.NewPublished(guarded, time.Now), Rows: rows, Sealer: sealer,
			Authorize: func(l link.Link) string { return entra.AuthorizeURL(c.Authority, l.TenantID) }, Log: log, Now: time.Now,
		}),
		EHR:      ehr.New(ehr.Deps{Servers: smart, Rows: rows, Sealer: sealer, Now: time.Now}),
		Webhooks: webhooks,
		Servers:  discovery.Service{Verifier: verifier, AnyTarget: len(c.EgressAllow) > 0},
		Callers:  caller.Bearer{Tokens: validator},
		Sweep:    expiry.Sweep{Links: links, Trail: trail.Trimmer{Store: stores, Cells: stores, Days: c.TrailDays}, Launches: handle.Trimmer{Rows: rows, Now: time.Now}, Cells: stores, Log: log},
		Origins:  c.Origins,
		Aliases:  c.ScopeAliases,
		Limits:   httpx.NewRateLimit(functions.PerMinute, functions.Burst, nil),
		Reach:    watch.Reachable,
		Log:      log,

		SignIn:    people(c, validator, sealer, log),
		Service:   view.Service{Name: c.ServiceName, Support: c.Support, Privacy: c.PrivacyURL},
		PublicURL: c.PublicURL,
		Mail:      c.Mail.Host != "",
	}, nil
}

// people returns the sign-in of the pages, nil without a public URL.
func people(c config.Config, tokens *entra.AccessTokens, sealer *seal.Sealer, log *slog.Logger) manage.SignIn {
	if c.PublicURL == "" {
		log.Info("signin.off", "cause", config.PublicURL+" is not set, so nobody can sign in at the pages")
		return nil
	}
	return manage.People{Service: signin.New(signin.Config{
		PublicURL: c.PublicURL, Authority: c.Authority, ClientID: c.SignInClient(), Tenants: c.Tenants, Operator: c.OperatorTenant,
		Flow:   signin.IDToken{Tokens: tokens.IDTokens(c.SignInClient())},
		Sealer: sealer, Log: log,
	})}
}

// channels returns where notices are sent: the organizations' webhooks, and the operator's Event
// Grid topic if there is one.
func channels(c config.Config, identity azcore.TokenCredential, client *http.Client, webhooks *webhook.Service) (notify.Channels, error) {
	if c.EventGridEndpoint == "" {
		return notify.Channels{webhooks}, nil
	}
	topic, err := eventgrid.New(c.EventGridEndpoint, identity, client)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.EventGridEndpoint, err)
	}
	return notify.Channels{webhooks, topic}, nil
}

// mailer returns nil when no mail server is set.
func mailer(c config.Config) notify.Mailer {
	if c.Mail.Host == "" {
		return nil
	}
	return c.Mail
}

// secrets opens the vaults.
func secrets(c config.Config, identity azcore.TokenCredential, watch *upstream.Watch) (*keyvault.Store, error) {
	options := keyvault.ClientOptions()
	addWatch(&options.ClientOptions, watch, upstream.Vault)
	vaults := make([]keyvault.Vault, len(c.Vaults))
	for i, v := range c.Vaults {
		client, err := azsecrets.NewClient(v.URL, identity, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", config.KeyVaultURL, err)
		}
		vaults[i] = keyvault.Vault{Name: v.Name, Client: client}
	}
	return keyvault.New(vaults...), nil
}

// tables opens the table service. Errors name the setting and not its value, because a connection string
// contains a key.
func tables(c config.Config, identity azcore.TokenCredential, watch *upstream.Watch) (*aztables.ServiceClient, error) {
	options := aztable.ClientOptions()
	addWatch(&options.ClientOptions, watch, upstream.Table)
	if c.TableConnectionString.IsZero() {
		service, err := aztables.NewServiceClient(c.TableEndpoint, identity, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", config.TableEndpoint, err)
		}
		return service, nil
	}
	service, err := aztables.NewServiceClientFromConnectionString(c.TableConnectionString.Reveal(), options)
	if err != nil {
		return nil, fmt.Errorf("%s is not a connection string of Table Storage", config.TableConnectionString)
	}
	return service, nil
}

// signingKey returns the key of the first vault that signs the tokens of SMART apps.
func signingKey(c config.Config, identity azcore.TokenCredential, watch *upstream.Watch, log *slog.Logger) (*signer.Signer, error) {
	options := vaultkey.ClientOptions()
	addWatch(&options.ClientOptions, watch, upstream.Vault)
	client, err := azkeys.NewClient(c.Vaults[0].URL, identity, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.KeyVaultURL, err)
	}
	return signer.New(vaultkey.New(client, c.SmartKey), nil, log), nil
}

func callers(c config.Config, client *http.Client) entra.AccessTokensConfig {
	return entra.AccessTokensConfig{
		Authority: c.Authority, Audiences: c.Audiences, Tenants: c.Tenants,
		OperatorTenant: c.OperatorTenant, Client: client,
	}
}

// microsoftClient returns the client for the configured authority, Microsoft Graph and Event
// Grid. Unlike the client for FHIR servers it is not guarded, because the operator names these
// hosts and callers never do. It follows no redirects, because a request here carries a client
// secret.
func microsoftClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = egress.ConnsPerHost, egress.ConnsPerHost
	transport.ResponseHeaderTimeout = 10 * time.Second
	return &http.Client{
		Transport:     transport,
		Timeout:       15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
