package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/config"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
)

// instance is the program behind a listener, as run serves it.
type instance struct {
	*program
	*httptest.Server
	t *testing.T
}

func start(t *testing.T, folder string, settings map[string]string) *instance {
	t.Helper()
	c, err := config.Local(lookup(settings))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProgram(options{data: folder, sandbox: true}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{p, httptest.NewServer(p.handler), t}
	t.Cleanup(i.stop)
	return i
}

// stop may be called more than once.
func (i *instance) stop() {
	i.Server.Close()
	if err := i.close(); err != nil {
		i.t.Error(err)
	}
}

func lookup(settings map[string]string) config.Lookup {
	return func(name string) (string, bool) {
		value, ok := settings[name]
		return value, ok
	}
}

// answer is a decoded JSON answer.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// call sends a request; headers come in pairs of name and value.
func (i *instance) call(method, path, body string, headers ...string) answer {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), method, i.URL+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	response, err := i.Client().Do(r)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	if bytes.Contains(data, []byte(sandbox.Secret)) {
		i.t.Errorf("%s %s answers with the client secret: %s", method, path, data)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &a.body); err != nil {
			i.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return a
}

// want checks the status and returns the body.
func (i *instance) want(status int, a answer) map[string]any {
	i.t.Helper()
	if a.status != status {
		i.t.Fatalf("status %d, want %d: %v", a.status, status, a.body)
	}
	return a.body
}

func registration(slug, scenario, secret string) string {
	text, err := json.Marshal(map[string]string{
		"slug": slug, "description": "Good Health Clinic", "fhirServerUrl": "https://" + scenario + ".fhir.sandbox.test/metadata",
		"clientId": sandbox.ClientID, "clientSecret": secret, "secretExpiresOn": expiresOn,
	})
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

func TestMainPath(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	i := start(t, folder, nil)

	created := i.call("POST", "/api/register", registration("good-health-clinic", "clinic", sandbox.Secret))
	link := i.want(http.StatusCreated, created)
	if link["status"] != "active" || link["fhirServerUrl"] != "https://clinic.fhir.sandbox.test" || link["tenantId"] != sandbox.TenantID ||
		created.header.Get("Location") != "/api/links/good-health-clinic" || created.header.Get("ETag") == "" {
		t.Errorf("register: %v %v", created.header, link)
	}
	if report := i.want(200, i.call("POST", "/api/verify", `{"slug":"good-health-clinic"}`)); report["status"] != "pass" || report["access"] != "read_write" {
		t.Errorf("verify: %v", report)
	}
	token := i.want(200, i.call("POST", "/api/token", "grant_type=client_credentials&slug=good-health-clinic"))
	if token["token_type"] != "Bearer" || token["resource"] != "https://clinic.fhir.sandbox.test" || token["access_token"] == "" {
		t.Errorf("token: %v", token)
	}
	if scopes := i.want(200, i.call("GET", "/api/translate-scope?scope=patient/Observation.rs", "")); scopes["scope"] != "patient-Observation.rs" {
		t.Errorf("translate-scope: %v", scopes)
	}
	if links := i.want(200, i.call("GET", "/api/links", "")); len(links["links"].([]any)) != 1 {
		t.Errorf("links: %v", links)
	}
	if health := i.want(200, i.call("GET", "/api/health", "")); health["program"] != "local" {
		t.Errorf("health: %v", health)
	}
	patched := i.call("PATCH", "/api/links/good-health-clinic", `{"listed":true}`, "If-Match", created.header.Get("ETag"))
	if i.want(200, patched)["listed"] != true {
		t.Errorf("patch: %v", patched.body)
	}
	if entry := i.want(200, i.call("GET", "/api/directory/good-health-clinic", "")); entry["description"] != "Good Health Clinic" {
		t.Errorf("directory: %v", entry)
	}
	i.want(422, i.call("PUT", "/api/links/good-health-clinic/secret", `{"clientSecret":"`+sandbox.ExpiredSecret+`"}`, "If-Match", "*"))
	i.want(200, i.call("PUT", "/api/links/good-health-clinic/secret", `{"clientSecret":"`+sandbox.Secret+`"}`, "If-Match", "*"))

	// Another process over the same folder finds the stored links, and opens the secret with the
	// key file.
	i.stop()
	checkFolder(t, folder)
	i = start(t, folder, nil)
	i.want(200, i.call("POST", "/api/token", `{"slug":"good-health-clinic"}`))
	i.want(204, i.call("DELETE", "/api/links/good-health-clinic", "", "If-Match", "*"))
	i.want(404, i.call("GET", "/api/links/good-health-clinic", ""))
	i.want(400, i.call("POST", "/api/token", `{"slug":"good-health-clinic"}`))
}

// checkFolder checks that only the owner can read the data, and that it holds no secret in clear
// text.
func checkFolder(t *testing.T, folder string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{".": os.ModeDir | 0o700, databaseFile: 0o600, keyFile: 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		if !info.IsDir() {
			data, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(sandbox.Secret)) {
				t.Errorf("%s holds the client secret in clear text", name)
			}
		}
	}
}

// Every scenario of the sandbox, as register answers it and verify reports it.
func TestScenarios(t *testing.T) {
	for _, c := range []struct {
		scenario string
		status   int    // the answer of register
		link     string // the status of the link
		report   string
		access   string
		check    string // the one that does not pass, and its code
		code     string
	}{
		{"clinic", 201, "active", "pass", "read_write", "", ""},
		{"audience", 201, "active", "pass", "read_write", "", ""},
		{"readonly", 201, "active", "warn", "read", "write", "write_403"},
		{"norole", 201, "pending_access", "fail", "none", "read", "fhir_403_rbac"},
		{"anonymous", 422, "", "fail", "none", "authority", "server_open"},
		{"throttled", 503, "", "fail", "none", "read", "fhir_429"},
		{"down", 503, "", "fail", "none", "metadata", "fhir_5xx"},
		{"html", 422, "", "fail", "none", "metadata", "metadata_html"},
		{"metadata404", 422, "", "fail", "none", "metadata", "metadata_404"},
		{"redirect", 422, "", "fail", "none", "metadata", "metadata_redirect"},
		{"huge", 422, "", "fail", "none", "metadata", "metadata_too_large"},
		{"slow", 503, "", "fail", "none", "metadata", "fhir_timeout"},
		{"nobody", 422, "", "fail", "none", "address", "dns_not_found"},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel() // one of them is slow
			i := start(t, t.TempDir(), nil)
			a := i.call("POST", "/api/register", registration("t-"+c.scenario, c.scenario, sandbox.Secret))
			body := i.want(c.status, a)
			if c.link != "" && body["status"] != c.link {
				t.Errorf("link is %v", body["status"])
			}
			if c.status == 503 && a.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			report, _ := body["report"].(map[string]any)
			checkReport(t, report, c.report, c.access, c.check, c.code)
			stored := http.StatusNotFound
			if c.status == 201 {
				stored = http.StatusOK
			}
			i.want(stored, i.call("GET", "/api/links/t-"+c.scenario, ""))
		})
	}
}

func checkReport(t *testing.T, report map[string]any, status, access, check, code string) {
	t.Helper()
	if report["status"] != status || report["access"] != access {
		t.Errorf("report: status %v, access %v", report["status"], report["access"])
	}
	checks, _ := report["checks"].([]any)
	if len(checks) != 8 {
		t.Errorf("%d checks", len(checks))
	}
	for _, one := range checks {
		found := one.(map[string]any)
		bad := found["status"] == "warn" || found["status"] == "fail"
		if bad != (found["id"] == check) || bad && (found["code"] != code || found["message"] == "" || found["fix"] == "") {
			t.Errorf("check %v", found)
		}
	}
}

// Once a role takes effect, a new verification alone makes the link active.
func TestRoleSpreads(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	i.want(201, i.call("POST", "/api/register", registration("late-clinic", "norole", sandbox.Secret)))
	for n, want := range []string{"fail", "fail", "pass"} {
		if report := i.want(200, i.call("POST", "/api/verify", `{"slug":"late-clinic"}`)); report["status"] != want {
			t.Errorf("verification %d after registering: %v", n+1, report["status"])
		}
	}
	if link := i.want(200, i.call("GET", "/api/links/late-clinic", "")); link["status"] != "active" {
		t.Errorf("link is %v", link["status"])
	}
}

func TestSandboxCredentials(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	for secret, code := range map[string]string{sandbox.ExpiredSecret: "aadsts_7000222", "anything else": "aadsts_7000215"} {
		body := i.want(422, i.call("POST", "/api/register", registration("no-clinic", "clinic", secret)))
		checkReport(t, body["report"].(map[string]any), "fail", "none", "token", code)
	}
	other := strings.Replace(registration("no-clinic", "clinic", sandbox.Secret), sandbox.ClientID, "99999999-9999-4999-8999-999999999999", 1)
	body := i.want(422, i.call("POST", "/api/register", other))
	checkReport(t, body["report"].(map[string]any), "fail", "none", "token", "aadsts_700016")
}

func TestOrganizations(t *testing.T) {
	const other = "aaaaaaaa-1111-4111-8111-111111111111"
	i := start(t, t.TempDir(), nil)
	i.want(201, i.call("POST", "/api/register", registration("clinic-a", "clinic", sandbox.Secret)))
	i.want(404, i.call("GET", "/api/links/clinic-a", "", organizationHeader, other))
	i.want(400, i.call("POST", "/api/token", `{"slug":"clinic-a"}`, organizationHeader, other))
	i.want(200, i.call("GET", "/api/links/clinic-a", "", organizationHeader, strings.ToUpper(localOrganization)))

	i.want(422, i.call("GET", "/api/links", "", organizationHeader, "contoso"))
	if body := i.want(400, i.call("POST", "/api/token", `{"slug":"clinic-a"}`, organizationHeader, "contoso")); body["error"] != "invalid_request" {
		t.Errorf("token: %v", body)
	}
}

// Without audience and tenants no token can be checked.
func TestAnyAuthorizationIsRefused(t *testing.T) {
	i := start(t, t.TempDir(), map[string]string{config.APIAudience: audience})
	for _, header := range []string{"Bearer x", "Basic dTpw", "", "Bearer"} {
		a := i.call("GET", "/api/links", "", "Authorization", header)
		if i.want(401, a)["code"] != "unauthenticated" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %v", header, a)
		}
	}
	i.want(401, i.call("GET", "/api/health", "", "Authorization", "Bearer x"))
	if body := i.want(401, i.call("POST", "/api/token", "", "Authorization", "Bearer x")); body["error"] != "invalid_token" {
		t.Errorf("%v", body)
	}
}

const audience = "66666666-6666-4666-8666-666666666666"

// With audience and tenants a token is checked as in the cloud.
func TestTokensAreChecked(t *testing.T) {
	authority := entratest.New(entratest.Tenant{ID: localOrganization})
	server := httptest.NewTLSServer(authority)
	defer server.Close()
	authority.URL = server.URL
	i := start(t, t.TempDir(), map[string]string{
		config.APIAudience: audience, config.AllowedTenants: localOrganization, config.AuthorityHost: server.URL,
	})
	// This program does not trust the stand-in's certificate, so it cannot fetch keys. It must
	// check the token all the same, and not wave it through.
	token := authority.Mint(map[string]any{"aud": audience, "roles": []string{"Links.Manage.All"}})
	if body := i.want(503, i.call("GET", "/api/links", "", "Authorization", "Bearer "+token)); body["code"] != "upstream_unavailable" {
		t.Errorf("%v", body)
	}
	i.want(401, i.call("GET", "/api/links", "", "Authorization", "Bearer made-up"))
	i.want(200, i.call("GET", "/api/links", ""))
}

// FHIRLINK_EGRESS_ALLOW is for FHIR servers: it opens no private address to webhooks.
func TestWebhooksStayPublic(t *testing.T) {
	i := start(t, t.TempDir(), map[string]string{config.EgressAllow: "127.0.0.1/32"})
	i.want(422, i.call("POST", "/api/webhooks", `{"url":"https://127.0.0.1/"}`))
	i.want(201, i.call("POST", "/api/webhooks", `{"url":"https://webhooks.sandbox.test/"}`))
}

// The guard is in front of the functions.
func TestGuardIsInPlace(t *testing.T) {
	i := start(t, t.TempDir(), map[string]string{config.CORSOrigins: "http://localhost:3000"})
	r, err := http.NewRequestWithContext(t.Context(), "GET", i.URL+"/api/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	response, err := i.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("foreign Host: %d", response.StatusCode)
	}
	i.want(403, i.call("GET", "/api/links", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	friend := i.call("GET", "/api/links", "", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "cross-site")
	if i.want(200, friend); friend.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("headers %v", friend.header)
	}
	i.want(404, i.call("POST", "/secret-expiry", "{}"))
}

// A link's host alone decides which authority gets its secret.
func TestAuthorityOfLink(t *testing.T) {
	choose := authority(config.Config{Authority: "https://login.microsoftonline.us/"})
	for raw, want := range map[string]string{
		"https://clinic.fhir.sandbox.test":               sandbox.Authority,
		"https://clinic.fhir.sandbox.test.example.org":   "https://login.microsoftonline.us/",
		"https://ws-clinic.fhir.azurehealthcareapis.com": "https://login.microsoftonline.us/",
	} {
		base, _, mistake := fhir.ParseBaseURL(raw, false)
		if mistake != nil {
			t.Fatal(mistake)
		}
		if got := choose(base); got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
}

// No request ends the program.
func TestSurvivesPanics(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	server := httptest.NewServer(cloudtest.BrokenBodies(i.handler))
	defer server.Close()
	cloudtest.SurvivesPanics(t, cloudtest.Calls(t, server.URL))
}
