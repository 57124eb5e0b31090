package cloud

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"fhirlink/functions"
	"fhirlink/functions/manage"
	"fhirlink/shared/config"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/graph"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/link"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// staticIdentity is a credential that returns a token, or err.
type staticIdentity struct{ err error }

func (a staticIdentity) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "identity", ExpiresOn: time.Now().Add(time.Hour)}, a.err
}

// closedURL is an address that refuses connections.
const closedURL = "https://127.0.0.1:1"

// withoutServices assembles the program where no service answers.
func withoutServices(t *testing.T, identity azcore.TokenCredential, log *slog.Logger) (links link.Deps, hooks webhook.Deps, deps functions.Deps) {
	t.Helper()
	links, hooks, deps, err := assemble(config.Config{
		Vaults: []config.Vault{{Name: "a", URL: closedURL}}, TableEndpoint: closedURL, Authority: closedURL + "/",
		Audiences: []string{"x"}, Tenants: []string{"*"}, EventGridEndpoint: closedURL, SmartKey: config.DefaultSmartKey, SmartTable: config.DefaultSmartTable,
	}, identity, log)
	if err != nil {
		t.Fatal(err)
	}
	return links, hooks, deps
}

// Every service is called by a client that logs which service it is. Health reports the services
// that all links depend on.
func TestEveryCallIsWatched(t *testing.T) {
	links, hooks, deps := withoutServices(t, staticIdentity{}, slog.New(slog.DiscardHandler))
	get := func(c *http.Client) func(context.Context) {
		return func(ctx context.Context) {
			r, err := http.NewRequestWithContext(ctx, "GET", closedURL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := c.Do(r); err == nil {
				answer.Body.Close()
			}
		}
	}
	channels, _ := links.Channel.(notify.Channels)
	if len(channels) != 2 {
		t.Fatalf("channels %v", channels)
	}
	event := notify.Event{ID: notify.ID("x"), Type: notify.SecretRotated, Time: time.Now(), Organization: "x"}
	for service, call := range map[string]func(context.Context){
		"vault":   func(ctx context.Context) { _, _ = links.Secrets.Get(ctx, "a/link-x", "1") },
		"table":   func(ctx context.Context) { _, _ = links.Stores.Get(ctx, "clinic") },
		"entra":   get(links.Tokens.(*clientcred.Source).Client),
		"fhir":    get(links.Verifier.(*verification.Verifier).Client),
		"graph":   get(links.Ends.(*graph.Client).HTTP),
		"webhook": get(hooks.Client),

		"table (of apps)":     func(ctx context.Context) { _, _ = deps.SMART.Rows.Row(ctx, store.Key{Partition: "aclinic", Name: "S"}) },
		"vault (signing key)": func(ctx context.Context) { _, _ = deps.SMART.Keys.Keys(ctx) },
		"entra (sign-ins)":    get(deps.Launch.SignIns.(*webauth.SignIns).Client),

		"eventgrid": func(ctx context.Context) { channels[1].Deliver(ctx, "x", notify.Target{}, event) },
	} {
		t.Run(service, func(t *testing.T) {
			ctx, work := eventlog.Start(t.Context())
			call(ctx)
			calls := map[string]int64{}
			for _, a := range work.Notes() {
				if a.Key == "failedCalls" {
					for _, one := range a.Value.Group() {
						calls[one.Key] = one.Value.Int64()
					}
				}
			}
			service, _, _ := strings.Cut(service, " ")
			if calls[service] == 0 || len(calls) != 1 {
				t.Errorf("failed calls %v, want %s alone", calls, service)
			}
		})
	}
	ctx, work := eventlog.Start(t.Context())
	_, _ = deps.Callers.Authenticate(bearer(ctx, t))
	if notes := work.Notes(); len(notes) == 0 || !strings.Contains(notes[0].String(), "entra") {
		t.Errorf("the keys of callers' tokens are not watched: %v", notes)
	}
	want := map[string]bool{"identity": true, "entra": false, "vault": false, "table": false}
	for service, reached := range deps.Reach() {
		if want[service] != reached {
			t.Errorf("health: %s is %v", service, reached)
		}
		delete(want, service)
	}
	if len(want) > 0 {
		t.Errorf("health does not know of %v", want)
	}
}

// bearer returns a request with a token whose signing key has to be fetched.
func bearer(ctx context.Context, t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/api/links", nil)
	if err != nil {
		t.Fatal(err)
	}
	const header, payload = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ", "eyJhdWQiOiJ4In0"
	r.Header.Set("Authorization", "Bearer "+header+"."+payload+"."+strings.Repeat("A", 342))
	return r
}

// A program without an identity logs that, so it can be told from one whose services fail.
func TestMissingIdentityIsLogged(t *testing.T) {
	var out bytes.Buffer
	links, _, deps := withoutServices(t, staticIdentity{errors.New("canary")}, eventlog.New(&out, slog.LevelInfo))
	if _, err := links.Stores.Get(t.Context(), "clinic"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if log := out.String(); !strings.Contains(log, `"msg":"identity.failed"`) || strings.Contains(log, "canary") || deps.Reach()["identity"] {
		t.Errorf("logged %s, health %v", log, deps.Reach())
	}
}

// TestSignIn: people sign in where there is a public URL. Without one, the log says so once.
func TestSignIn(t *testing.T) {
	settings := config.Config{
		Vaults: []config.Vault{{Name: "a", URL: closedURL}}, TableEndpoint: closedURL, Authority: closedURL + "/", Seal: config.DefaultSeal,
		Audiences: []string{"api://x", "11111111-2222-4333-8444-555555555555"}, Tenants: []string{"*"},
	}
	for _, publicURL := range []string{"", "https://links.example.org"} {
		var out bytes.Buffer
		settings.PublicURL = publicURL
		_, _, deps, err := assemble(settings, staticIdentity{}, eventlog.New(&out, slog.LevelInfo))
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.Count(out.String(), `"msg":"signin.off"`); (deps.SignIn == nil) != (publicURL == "") || (told == 1) != (publicURL == "") {
			t.Errorf("%q: %v, logged %s", publicURL, deps.SignIn, &out)
		}
		if people, ok := deps.SignIn.(manage.People); ok && (people.ClientID != settings.Audiences[1] || people.PublicURL != publicURL || people.Authority != settings.Authority) {
			t.Errorf("%+v", people)
		}
	}
}
