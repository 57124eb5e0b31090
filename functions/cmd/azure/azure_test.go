package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// host calls the program as the Functions host does.
type host struct {
	*cloudtest.Process
	t *testing.T
}

// call sends a request with a caller's token ("" for none), and returns status and body.
func (h host) call(method, path, token string, body any, headers ...string) (*http.Response, map[string]any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.URL+path, encode(h.t, body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", method, path, err, h.Output)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Logf("%-6s %s → %d, %d bytes", method, path, response.StatusCode, len(data))
	decoded := map[string]any{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &decoded); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return response, decoded
}

func encode(t *testing.T, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return http.NoBody
	case string:
		return strings.NewReader(body)
	case io.Reader:
		return body
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(data)
}

// want sends a request and checks the status.
func (h host) want(status int, method, path, token string, body any, headers ...string) map[string]any {
	h.t.Helper()
	response, answer := h.call(method, path, token, body, headers...)
	if response.StatusCode != status {
		h.t.Fatalf("%s %s: %d, want %d: %v\n%s", method, path, response.StatusCode, status, answer, h.Output)
	}
	return answer
}

// newSlug returns a slug that no other test has, because all tests share Azurite's table.
func newSlug() string { return "clinic-" + strings.ToLower(rand.Text()) }

// The main path through the real program as a process, with the real clients of Table Storage,
// Key Vault, managed identity and Entra.
func TestMainPath(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud, program := cloudtest.Start(t), cloudtest.Build(t, "fhirlink/functions/cmd/azure")
	env, slug := cloud.Env(table(t)), newSlug()
	h := host{cloudtest.Run(t, program, env), t}
	h.Ready(t)

	manager := cloud.App(cloudtest.Tenant, "Links.Manage.All")
	app := cloud.App(cloudtest.Tenant, "Links.Token.All")

	response, link := h.call("POST", "/api/register", manager, cloud.Registration(slug))
	if response.StatusCode != http.StatusCreated || link["status"] != "active" {
		t.Fatalf("register: %d %v\n%s", response.StatusCode, link, h.Output)
	}
	if stored := cloud.Vault.Store.Entries(); len(stored) != 1 || stored[0].Versions[0].Slug != slug ||
		stored[0].Versions[0].Value.Reveal() != cloudtest.Secret || stored[0].Versions[0].ExpiresOn.IsZero() {
		t.Errorf("the vault holds %+v", stored)
	}
	if report := h.want(200, "POST", "/api/verify", manager, map[string]string{"slug": slug}); report["status"] != "pass" || report["access"] != "read" {
		t.Errorf("verify: %v", report)
	}
	token := h.want(200, "POST", "/api/token", app, "grant_type=client_credentials&slug="+slug,
		"Content-Type", "application/x-www-form-urlencoded")
	if _, err := cloud.Entra.Check(token["access_token"].(string)); err != nil {
		t.Errorf("token: %v", err)
	}
	if scopes := h.want(200, "GET", "/api/translate-scope?scope=patient/Observation.rs", "", nil); scopes["scope"] != "patient-Observation.rs" {
		t.Errorf("translate-scope: %v", scopes)
	}
	h.want(200, "PUT", "/api/links/"+slug+"/secret", manager, map[string]string{"clientSecret": cloudtest.NextSecret}, "If-Match", response.Header.Get("ETag"))
	h.want(412, "PATCH", "/api/links/"+slug, manager, map[string]any{"listed": true}, "If-Match", response.Header.Get("ETag"))
	h.want(200, "PATCH", "/api/links/"+slug, manager, map[string]any{"listed": true}, "If-Match", "*")
	h.sweep()

	if health := h.want(200, "GET", "/api/health", "", nil); fmt.Sprint(health["reachable"]) != "map[entra:true identity:true table:true vault:true]" {
		t.Errorf("health: %v", health)
	}
	h.checkLines(app, slug)

	// The host kills without a warning. The next process continues where this one stopped.
	h.Kill()
	again := host{cloudtest.Run(t, program, env), t}
	again.Ready(t)
	again.want(200, "POST", "/api/token", app, map[string]string{"slug": slug})
	again.want(204, "DELETE", "/api/links/"+slug, manager, nil, "If-Match", "*")
	again.want(404, "GET", "/api/links/"+slug, manager, nil)
	if status := again.Terminate(t); status != exitOK {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	for _, output := range []string{h.Output.String(), again.Output.String()} {
		if strings.Contains(output, "canary") || strings.Contains(output, app) || strings.Contains(output, token["access_token"].(string)) {
			t.Errorf("a secret or a token was printed:\n%s", output)
		}
		if !strings.Contains(output, `"msg":"token.issued"`) {
			t.Errorf("no token.issued in:\n%s", output)
		}
	}
}

// checkLines checks the log lines of the requests: how each ended, and which services were
// called for it. A warm token calls none.
func (h host) checkLines(app, slug string) {
	h.t.Helper()
	h.want(200, "POST", "/api/token", app, map[string]string{"slug": slug})
	h.want(200, "POST", "/api/token", app, map[string]string{"slug": slug}, "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"X-Azure-Functions-InvocationId", "3f1d0a56-7f2b-4f6e-9a3b-6b0f5f6c1d20")
	h.waitForLine("4bf92f3577b34da6a3ce929d0e0e4736", `"msg":"request"`)
	type line struct {
		Msg, Method, Route, Outcome, Trace, Parent, Invocation string
		Calls, FailedCalls                                     map[string]int
		CallMS                                                 map[string]float64
	}
	var registered, swept, warm line
	for text := range strings.Lines(h.Output.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			h.t.Errorf("not a line of JSON: %s", text)
		}
		switch {
		case l.Msg == "sweep.done":
			swept = l
		case l.Route == "/api/register":
			registered = l
		case l.Route == "/api/token":
			warm = l
		}
	}
	for _, service := range []string{"entra", "table", "vault", "fhir"} {
		if registered.Calls[service] == 0 || registered.FailedCalls[service] != 0 || registered.CallMS[service] <= 0 || registered.Outcome != "ok" {
			h.t.Errorf("register: %+v lacks %s", registered, service)
		}
	}
	if swept.Calls["table"] < 64 {
		h.t.Errorf("the sweep reads 64 ranges: %+v", swept)
	}
	if warm.Calls != nil || warm.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" || warm.Parent != "00f067aa0ba902b7" || warm.Invocation != "3f1d0a56-7f2b-4f6e-9a3b-6b0f5f6c1d20" {
		h.t.Errorf("a warm token: %+v", warm)
	}
}

// waitForLine waits for a line with all of the texts, because lines are written after the
// answer.
func (h host) waitForLine(texts ...string) {
	h.t.Helper()
	for range 500 {
		for line := range strings.Lines(h.Output.String()) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("no line with %q in:\n%s", texts, h.Output)
}

// sweep posts a timer invocation as the host does.
func (h host) sweep() {
	h.t.Helper()
	body, err := os.ReadFile("testdata/timer.json")
	if err != nil {
		h.t.Fatal(err)
	}
	// A reader of unknown length is sent in chunks.
	answer := h.want(200, "POST", "/secret-expiry", "", io.MultiReader(bytes.NewReader(body)))
	if _, ok := answer["Outputs"].(map[string]any); !ok || len(answer["Logs"].([]any)) == 0 {
		h.t.Errorf("secret-expiry: %v", answer)
	}
	if value, ok := answer["ReturnValue"]; !ok || value != nil {
		h.t.Errorf("secret-expiry: ReturnValue %v", value)
	}
}

// Who may do what, with tokens that carry real signatures.
func TestCallers(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud := cloudtest.Start(t)
	h := host{cloudtest.Run(t, cloudtest.Build(t, "fhirlink/functions/cmd/azure"), cloud.Env(table(t))), t}
	h.Ready(t)
	slug := newSlug()
	manager := cloud.User(cloudtest.Tenant, "Links.Manage", "Links.Administrator")
	h.want(201, "POST", "/api/register", manager, cloud.Registration(slug))

	token := map[string]string{"slug": slug}
	h.want(401, "GET", "/api/links", "", nil)
	h.want(401, "GET", "/api/links", cloud.App(cloudtest.Stranger, "Links.Manage.All"), nil)
	h.want(401, "GET", "/api/links", cloud.Entra.Mint(map[string]any{"aud": "another", "roles": []string{"Links.Manage.All"}}), nil)
	h.want(403, "GET", "/api/links", cloud.User(cloudtest.Tenant, "Links.Manage"), nil)
	h.want(403, "POST", "/api/token", manager, token)
	h.want(401, "POST", "/api/token", "", token)
	h.want(404, "GET", "/api/links/"+slug, cloud.App(cloudtest.OtherTenant, "Links.Manage.All"), nil)
	h.want(400, "POST", "/api/token", cloud.App(cloudtest.OtherTenant, "Links.Token.All"), token)
	h.want(200, "POST", "/api/token", cloud.App(cloudtest.Tenant, "Links.Token.All"), token)

	// A header that cmd/local accepts has no meaning here.
	h.want(401, "GET", "/api/links", "", nil, "X-Local-Organization", cloudtest.Tenant)
	h.want(401, "GET", "/api/links", "", nil, "X-MS-CLIENT-PRINCIPAL", "e30=", "X-MS-CLIENT-PRINCIPAL-ID", cloudtest.Tenant)

	// A trigger does not answer at a public path, and the reverse.
	h.want(404, "POST", "/api/secret-expiry", "", map[string]string{})
	h.want(404, "POST", "/register", manager, cloud.Registration(newSlug()))
	h.want(404, "POST", "/api/../secret-expiry", "", map[string]string{})
}

// The program makes no request before its first one arrives: the host waits, and upstreams may
// be down.
func TestNoNetworkBeforeListening(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud := cloudtest.Start(t)
	h := host{cloudtest.Run(t, cloudtest.Build(t, "fhirlink/functions/cmd/azure"), cloud.Env("UseDevelopmentStorage=true")), t}
	h.Ready(t)
	if health := h.want(200, "GET", "/api/health", "", nil); health["program"] != "azure" || health["status"] != "ok" || health["version"] != "dev" {
		t.Errorf("health: %v", health)
	}
	if n := cloud.Entra.Discoveries.Load() + cloud.Entra.Tokens.Load() + cloud.Entra.KeyFetches.Load() +
		cloud.Vault.Requests.Load() + cloud.Vault.Challenges.Load() + cloud.Identity.Load(); n != 0 {
		t.Errorf("%d requests before the first caller", n)
	}
}

// Under Core Tools the identity is the Azure CLI's, which is not asked before it is needed.
func TestCoreTools(t *testing.T) {
	cloudtest.LinuxOnly(t)
	cloud := cloudtest.Start(t)
	env := cloud.Env("UseDevelopmentStorage=true", "FUNCTIONS_CORETOOLS_ENVIRONMENT=true", "PATH="+t.TempDir())
	h := host{cloudtest.Run(t, cloudtest.Build(t, "fhirlink/functions/cmd/azure"), env), t}
	h.Ready(t)
	h.want(503, "POST", "/api/register", cloud.App(cloudtest.Tenant, "Links.Manage.All"), cloud.Registration("clinic-a"))
	if cloud.Identity.Load() != 0 {
		t.Error("the managed identity was asked")
	}
}
