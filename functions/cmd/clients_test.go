package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// generatedClient is a program of functions/clients over a client that a generator made.
type generatedClient struct {
	slug    string   // that it registers
	command []string // in functions/clients
	scope   any      // that it posts
}

var (
	scopes           = []any{"patient/Observation.rs", "openid"}
	generatedClients = []generatedClient{
		{"by-openapi-fetch", []string{"node", "generated/built/openapi-fetch.js"}, scopes},
		{"by-hey-api", []string{"node", "generated/built/hey-api.js"}, scopes},
		{"by-ogen", []string{"generated/built/ogen"}, scopes},
		{"by-nswag", []string{"mono", "generated/built/nswag.exe"}, "patient/Observation.rs openid"}, // its class has a string only
	}
)

// TestClients runs clients that were generated from openapi.yaml against cmd/local, and checks what
// they send. `make clients-test` generates them and sets CLIENTS. Otherwise the test is skipped,
// because make test needs Go and make only.
func TestClients(t *testing.T) {
	if os.Getenv("CLIENTS") == "" {
		t.Log("nothing to do: .ci/clients generates the clients, and sets CLIENTS")
		return
	}
	local := startLocal(t)
	for _, c := range generatedClients {
		t.Run(c.slug, func(t *testing.T) {
			if c.command[0] == "mono" {
				if _, err := exec.LookPath("mono"); err != nil {
					t.Skip("NOT RUN: mono is missing")
				}
			}
			recorder := newRecorder(t, local)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
			cmd.Dir = filepath.Join(root, "functions", "clients")
			cmd.Env = append(withoutSettings(os.Environ()), "FHIRLINK_URL="+recorder.URL)
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
				t.Fatalf("%q: %v\n%s", c.command, err, out)
			}
			recorder.check(t, c)
			checkStillListed(t, local, c.slug)
		})
	}
}

// recorder is a proxy in front of cmd/local that remembers what was sent.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	sent map[string][]map[string]any // by method and path
}

func newRecorder(t *testing.T, local string) *recorder {
	t.Helper()
	target, err := url.Parse(local)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{sent: map[string][]map[string]any{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.remember(t, q, body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// remember keeps the fields of the body, or those of the query. A null is the same as leaving the
// field out.
func (r *recorder) remember(t *testing.T, q *http.Request, body []byte) {
	t.Helper()
	fields := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Errorf("%s %s: %v in %s", q.Method, q.URL, err, body)
		}
	}
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	for key, values := range q.URL.Query() {
		fields[key] = strings.Join(values, " and ")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[q.Method+" "+q.URL.Path] = append(r.sent[q.Method+" "+q.URL.Path], fields)
}

// check checks that the client sent what the program gave it, and nothing for what it left out.
func (r *recorder) check(t *testing.T, c generatedClient) {
	t.Helper()
	type fields = map[string]any
	want := map[string][]fields{
		"POST /api/register": {{
			"slug": c.slug, "description": "Good Health Clinic", "fhirServerUrl": "https://clinic.fhir.sandbox.test",
			"clientId": "22222222-2222-4222-8222-222222222222", "clientSecret": "sandbox-secret-value", "listed": true,
		}},
		"POST /api/verify":           {{"slug": c.slug}, {"slug": "no-such-clinic"}},
		"GET /api/links":             {{"status": "active"}},
		"PATCH /api/links/" + c.slug: {{"description": "Better Health Clinic"}},
		"POST /api/translate-scope":  {{"scope": c.scope}},
		"GET /api/translate-scope":   {{"scope": "patient/Observation.rs openid"}},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, call := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(r.sent[call], want[call]) {
			t.Errorf("%s sent %v, want %v", call, r.sent[call], want[call])
		}
	}
	if len(r.sent) != len(want) {
		t.Errorf("it sent %v", slices.Sorted(maps.Keys(r.sent)))
	}
}

// checkStillListed checks that the change of the description, which left listed out, did not unlist
// the link.
func checkStillListed(t *testing.T, api, slug string) {
	t.Helper()
	a, err := http.Get(api + "/api/directory/" + slug)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if body, err := io.ReadAll(a.Body); err != nil || a.StatusCode != http.StatusOK || !strings.Contains(string(body), "Better Health Clinic") {
		t.Errorf("the directory answers %s %s, %v", a.Status, body, err)
	}
}
