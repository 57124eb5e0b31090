package comparehosts_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/httpx/scripttest"
	"fhirlink/shared/secret/keyvault/vaulttest"
)

// scriptFiles is the folder of the scripts, seen from here.
const scriptFiles = "../../testdata"

const frontEnd = "https://front.example"

// Organizations that no other script uses.
const (
	listTenant = "99999999-1111-4111-8111-111111111111" // the scripts list its links
	manyTenant = "99999999-3333-4333-8333-333333333333" // has reached the limit of links
	busyTenant = "99999999-4444-4444-8444-444444444444" // exceeds the rate limit
	appsTenant = "99999999-5555-4111-8111-111111111111" // has links with SMART apps
	fullTenant = "99999999-6666-4111-8111-111111111111" // has a link with as many apps as possible
)

func scripts(t *testing.T) []scripttest.Script {
	t.Helper()
	all, err := scripttest.ReadFiles(os.DirFS(scriptFiles), "scripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// host starts a program behind the service that calls it in its cloud.
type host struct {
	name  string
	is    []string
	start func(t *testing.T, cloud *cloudtest.Cloud, table string) running
}

var hosts = []host{
	{"local", []string{"local", "tokens", "people"}, startLocal},
	{"azure proxying", []string{"host", "tokens", "required", "cloud", "people"}, startProxying},
	{"azure forwarding", []string{"host", "forwarding", "tokens", "required", "cloud", "people"}, startForwarding},
	{"lambda", []string{"tokens", "required", "cloud", "people"}, startLambda},
	{"lambda behind API Gateway", []string{"tokens", "required", "cloud", "people"}, startGateway},
}

// TestScripts: each host passes, and where two hosts answered the same exchange, their answers
// are equal.
func TestScripts(t *testing.T) {
	cloudtest.LinuxOnly(t)
	byHost := make([]map[string]string, len(hosts))
	t.Run("hosts", func(t *testing.T) {
		for i, h := range hosts {
			byHost[i] = map[string]string{}
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				r := h.runner(t)
				for _, script := range scripts(t) {
					for _, answer := range r.Test(t, script) {
						byHost[i][script.Name+": "+answer.Exchange] = answer.Text
					}
				}
			})
		}
	})
	compare(t, byHost)
}

// TestScriptsAcrossKills: the host kills the handler between exchanges, and no client notices.
func TestScriptsAcrossKills(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud := cloudtest.Start(t)
	broken, table := breakable(t, table(t))
	behind := functionsHost(t, cloud, table)
	heard := &secrets{}
	printed := heard.kept(t)
	running := serve(t, behind)
	*printed = running.printed
	r := runner(cloud, broken, hosts[slices.IndexFunc(hosts, func(h host) bool { return h.name == "azure proxying" })], running.url, heard)
	random := rand.New(rand.NewPCG(1, 0))
	r.Conditions["killed"] = true
	r.Before = func(scripttest.Exchange) {
		if random.IntN(6) == 0 {
			behind.Restart()
		}
	}
	for _, script := range scripts(t) {
		r.Test(t, script)
	}
	if behind.Starts() < 30 {
		t.Errorf("only %d starts", behind.Starts())
	}
}

func compare(t *testing.T, byHost []map[string]string) {
	t.Helper()
	compared := 0
	for i, answers := range byHost {
		for name, text := range answers {
			first := slices.IndexFunc(byHost, func(other map[string]string) bool { return other[name] != "" })
			if first == i {
				continue
			}
			compared++
			if want := byHost[first][name]; text != want {
				t.Errorf("%s\n%s answers:\n%s\n%s answers:\n%s", name, hosts[i].name, text, hosts[first].name, want)
			}
		}
	}
	if !t.Failed() && compared < 2300 {
		t.Errorf("only %d answers were compared", compared)
	}
}

// runner starts the host in a separate cloud, and sends it scripts.
func (h host) runner(t *testing.T) scripttest.Runner {
	t.Helper()
	cloud := cloudtest.Start(t)
	broken, table := breakable(t, table(t))
	heard := &secrets{}
	printed := heard.kept(t)
	running := h.start(t, cloud, table)
	*printed = running.printed
	return runner(cloud, broken, h, running.url, heard)
}

// runner sends scripts to a host at a URL. heard hears what is said.
func runner(cloud *cloudtest.Cloud, tableBroken *atomic.Bool, h host, url string, heard *secrets) scripttest.Runner {
	client := heard.client(http.DefaultTransport)
	r := scripttest.Runner{
		URL: url, Client: client,
		Sites: map[string]scripttest.Site{cloudtest.PublicURL: {URL: url}, cloud.AuthorityURL: {URL: cloud.AuthorityURL, Client: heard.client(cloud.Client.Transport)}},
		Vars:  vars(cloud), Callers: callers(cloud), Conditions: map[string]bool{}, Mask: mask,
		States: map[string]func(bool){
			"Entra refuses the secret": withFault(&cloud.EntraFault, cloud.Entra.Refuse(http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys are expired.")),
			"Entra throttles":          withFault(&cloud.EntraFault, cloud.Entra.Throttle(7)),
			"Entra is down":            withFault(&cloud.EntraFault, entratest.WebPage(http.StatusServiceUnavailable)),
			"all of Entra is down": withFault(&cloud.EntraFault, func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}),
			"the vault throttles": withFault(&cloud.VaultFault, vaulttest.Throttle(7)),
			"the vault is down":   withFault(&cloud.VaultFault, vaulttest.Fail(http.StatusServiceUnavailable, "ServiceUnavailable", "")),
			"the vault is closed": withFault(&cloud.VaultFault, vaulttest.Fail(http.StatusForbidden, "Forbidden", "ForbiddenByRbac")),
			"the table is down":   tableBroken.Store,

			"pat's account is disabled": func(begins bool) { cloud.Entra.Disable(cloud.Object("pat"), begins) },
		},
	}
	for _, condition := range h.is {
		r.Conditions[condition] = true
	}
	return r
}

// TestWithoutSigningKeys: a program that has never fetched Entra's keys cannot authenticate
// callers.
func TestWithoutSigningKeys(t *testing.T) {
	cloudtest.LinuxOnly(t)
	script, err := scripttest.Parse("keys", keysScript)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.runner(t).Test(t, script)
		})
	}
}

const keysScript = `
-- health needs no keys --
GET /api/health
While: all of Entra is down

=> 200

-- links --
GET /api/links
As: manager
While: all of Entra is down

=> 503
header Content-Type == application/problem+json
header Retry-After ~ ^[1-9]\d*$
json code == "upstream_unavailable"

-- a token --
POST /api/token
As: app
Content-Type: application/json
While: all of Entra is down

{"slug":"nobody"}

=> 503
header Content-Type == application/json
header Retry-After ~ ^[1-9]\d*$
json error == "temporarily_unavailable"
`

// withFault switches a fault of one of the cloud's servers on and off.
func withFault(at *atomic.Pointer[cloudtest.Fault], f cloudtest.Fault) func(bool) {
	return func(begins bool) {
		if begins {
			at.Store(&f)
		} else {
			at.Store(nil)
		}
	}
}

func vars(cloud *cloudtest.Cloud) map[string]string {
	v := map[string]string{
		"public": cloudtest.PublicURL, "entra": cloud.AuthorityURL, "patient": cloudtest.Patient,
		"tenant": cloudtest.Tenant, "client": cloudtest.ClientID, "front": frontEnd, "authority": cloud.AuthorityURL,
		"secret": cloudtest.Secret, "next-secret": cloudtest.NextSecret, "expired-secret": cloudtest.ExpiredSecret,
		"app-client": cloudtest.AppClientID, "app-secret": cloudtest.AppSecret, "app-next-secret": cloudtest.AppNextSecret,
		"other-app-client": cloudtest.OtherAppClientID, "other-app-secret": cloudtest.OtherAppSecret,
	}
	for _, scenario := range []string{
		"clinic", "readonly", "norole", "audience", "anonymous", "throttled",
		"down", "html", "metadata404", "slow", "redirect", "huge",
	} {
		v[scenario], v[scenario+".audience"] = cloud.Server(scenario)
	}
	return v
}

func callers(cloud *cloudtest.Cloud) map[string]http.Header {
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	app := func(tenant, role string) http.Header { return bearer(cloud.App(tenant, role)) }
	mint := func(claims map[string]any) http.Header {
		all := map[string]any{"tid": cloudtest.Tenant, "aud": cloudtest.Audience, "roles": []string{"Links.Manage.All"}}
		for name, value := range claims {
			all[name] = value
		}
		return bearer(cloud.Entra.Mint(all))
	}
	const manage, token, open = "Links.Manage.All", "Links.Token.All", "Links.Launch.All"
	return map[string]http.Header{
		"manager": app(cloudtest.Tenant, manage), "app": app(cloudtest.Tenant, token),
		"other": app(cloudtest.OtherTenant, manage), "other-app": app(cloudtest.OtherTenant, token),
		"lister": app(listTenant, manage), "lister-app": app(listTenant, token),
		"smart": app(appsTenant, manage), "ehr": app(appsTenant, open), "other-ehr": app(cloudtest.OtherTenant, open), "smart-many": app(fullTenant, manage),
		"many": app(manyTenant, manage), "busy": app(busyTenant, manage),
		"operator":           app(operatorTenant, token),
		"stranger":           app(cloudtest.Stranger, manage),
		"administrator":      bearer(cloud.User(cloudtest.Tenant, "Links.Manage", "Links.Administrator")),
		"user without role":  bearer(cloud.User(cloudtest.Tenant, "Links.Manage")),
		"user without scope": bearer(cloud.User(cloudtest.Tenant, "User.Read", "Links.Administrator")),
		"another audience":   mint(map[string]any{"aud": "77777777-0000-4000-8000-777777777777"}),
		"expired":            mint(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"version 1": mint(map[string]any{
			"ver": "1.0", "iss": "https://sts.windows.net/" + cloudtest.Tenant + "/", "appid": "44444444-4444-4444-8444-444444444444", "azp": nil,
		}),
	}
}

// operatorTenant is the value of FHIRLINK_OPERATOR_TENANT.
const operatorTenant = "99999999-2222-4222-8222-222222222222"

// settings returns the programs' settings, with more besides those of the cloud.
func settings(cloud *cloudtest.Cloud, table string, more ...string) []string {
	return cloud.Env(table, append([]string{
		"FHIRLINK_ALLOWED_TENANTS=" + cloudtest.Tenant + "," + cloudtest.OtherTenant + "," + listTenant + "," + manyTenant + "," + busyTenant + "," + appsTenant + "," + fullTenant,
		"FHIRLINK_MAX_LINKS=20",
		"FHIRLINK_OPERATOR_TENANT=" + operatorTenant,
		"FHIRLINK_CORS_ORIGINS=" + frontEnd,
	}, more...)...)
}

// mask hides what differs from run to run and from program to program.
var mask = scripttest.Mask{
	Headers: []string{"Etag", "Retry-After", "X-Correlation-Id"},
	Keys: []string{
		"instance", "createdAt", "updatedAt", "verifiedAt", "since", "recheckAt", "firstAt", "durationMs", "program", "at", "disabledAt", "overlapEndsAt", // times, and the program's name
		"etag", "ETag", "X-Correlation-Id", "access_token", "refresh_token", "launch", "launchUrl", "expiresAt", "id_token", "clientSecret", "kid", "n", "signingSecret", "continue", "expires_in", "correlationId", "traceId", // random, or depends on the time
		"reachable", // depends on the services of the program
	},
	Patterns: []*regexp.Regexp{
		regexp.MustCompile(`https(://|%3A%2F%2F)127\.0\.0\.1(:|%3A)\d+`),               // each program has its own cloud, in a redirect's parameters too
		regexp.MustCompile(`\b(\d{19}-)?[a-z2-7]{26}\b`),                               // the id of an event in a trail, or of a webhook
		regexp.MustCompile(`\((local|azure|lambda)\)</dd>|<code>[0-9a-f-]{36}</code>`), // on pages: the program, and the correlation id
		regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`),
		regexp.MustCompile(`\b(state=|nonce=)[A-Z2-7]{26}\b|\b__Host-signin-[A-Z2-7]{8}\b`),                                                                   // of a sign-in
		regexp.MustCompile(`[?&](state|nonce|code_challenge)=[A-Za-z0-9_-]{26,}|[?&]code=[A-Za-z0-9_.-]{36,}|\b__Host-smart-[A-Za-z0-9_-]{8}=[A-Za-z0-9_-]*`), // of an app's sign-in
		regexp.MustCompile(`\bA[Q-Za-f][A-Za-z0-9_-]{80,}`),                                                                                                   // what is sealed
	},
}
