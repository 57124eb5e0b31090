package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// example is a program of functions/examples.
type example struct {
	name    string
	tools   []string
	command []string                  // in functions/examples
	build   func(out string) []string // in functions/examples, run first; out is the built program
}

// clientExamples are all programs of functions/examples; out stands for the built program.
var clientExamples = []example{
	{"token.sh", []string{"bash", "curl"}, []string{"bash", "token.sh"}, nil},
	{"token.mjs", []string{"node"}, []string{"node", "token.mjs"}, nil},
	{"token.py", []string{"python3"}, []string{"python3", "token.py"}, nil},
	{"token.go", []string{"go"}, []string{"out"}, func(out string) []string {
		return []string{"go", "build", "-o", out, "token.go"}
	}},
	{"token.cs", []string{"mcs", "mono"}, []string{"mono", "out"}, func(out string) []string {
		return []string{"mcs", "-warnaserror", "-r:System.Net.Http", "-r:System.Runtime.Serialization", "-out:" + out, "token.cs"}
	}},
}

// TestExamples runs the client examples against cmd/local, and against answers that cmd/local
// does not give. `make examples-test` installs what they need and sets EXAMPLES. Otherwise the
// test is skipped, because make test needs Go and make only.
func TestExamples(t *testing.T) {
	if os.Getenv("EXAMPLES") == "" {
		t.Log("nothing to do: .ci/examples installs what the examples need, and sets EXAMPLES")
		return
	}
	api := startLocal(t)
	registerClinic(t, api)
	want := askToken(t, api)
	for _, e := range clientExamples {
		t.Run(e.name, func(t *testing.T) {
			run := e.prepare(t)
			t.Run("a token, and its use", func(t *testing.T) { e.checkUse(t, run, api, want) })
			t.Run("wrong slug", func(t *testing.T) {
				out := run(t, true, "FHIRLINK_URL="+api, "FHIRLINK_SLUG=bad-health-clinic")
				says(t, out, "HTTP 400", "invalid_target", "There is no link with this slug for you. Check the slug")
			})
			t.Run("every setting", func(t *testing.T) { e.checkSettings(t, run) })
			t.Run("unusual answers", func(t *testing.T) { e.checkUnusual(t, run) })
		})
	}
}

// Every file in the folder is an example that TestExamples runs and that the README there links.
// What mcs builds there is no example, and git ignores it.
func TestEveryExampleIsRun(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "functions", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	var found, want []string
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" && filepath.Ext(name) != ".exe" {
			found = append(found, name)
		}
	}
	readme := string(read(t, root, "functions/examples/README.md"))
	for _, e := range clientExamples {
		want = append(want, e.name)
		if !strings.Contains(readme, "]("+e.name+")") {
			t.Errorf("functions/examples/README.md does not link %s", e.name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("functions/examples holds %q, TestExamples runs %q", found, want)
	}
}

// runner runs an example with the settings and returns its output. If fails is true, the example
// must exit with a status other than 0.
type runner func(t *testing.T, fails bool, settings ...string) (output string)

// prepare builds the example.
func (e example) prepare(t *testing.T) runner {
	t.Helper()
	for _, tool := range e.tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT RUN: %s is missing", tool)
		}
	}
	folder := filepath.Join(root, "functions", "examples")
	built := filepath.Join(t.TempDir(), "example.exe")
	if e.build != nil {
		args := e.build(built)
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	args := append([]string(nil), e.command...)
	for i := range args {
		if args[i] == "out" {
			args[i] = built
		}
	}
	return func(t *testing.T, fails bool, settings ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = folder
		cmd.Env = append(withoutSettings(os.Environ()), settings...)
		out, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		switch {
		case err == nil && fails:
			t.Errorf("%q with %q exits with 0:\n%s", args, settings, out)
		case err != nil && !fails, err != nil && !errors.As(err, &ended):
			t.Errorf("%q with %q: %v\n%s", args, settings, err, out)
		}
		return string(out)
	}
}

func withoutSettings(environment []string) (rest []string) {
	for _, line := range environment {
		if !strings.HasPrefix(line, "FHIRLINK_") {
			rest = append(rest, line)
		}
	}
	return rest
}

func says(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(text)) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

// checkUse checks that the token from cmd/local arrives at the FHIR server and nowhere else.
func (e example) checkUse(t *testing.T, run runner, api, token string) {
	t.Helper()
	fhir := newClinic(t, token)
	out := run(t, false, "FHIRLINK_URL="+api, "FHIRLINK_SLUG=good-health-clinic", "FHIRLINK_FHIR_URL="+fhir.URL)
	if !regexp.MustCompile(`^Token for https://clinic\.fhir\.sandbox\.test, valid for \d+ seconds\.\r?\nPatients: 42\r?\n$`).MatchString(out) {
		t.Errorf("it writes %q", out)
	}
	if strings.Contains(out, token) {
		t.Error("it writes the token")
	}
	says(t, run(t, true, "FHIRLINK_URL="+api, "FHIRLINK_FHIR_URL="+newClinic(t, "another").URL), "refuses the token or the request (HTTP 401)")
	says(t, run(t, true, "FHIRLINK_URL="+api, "FHIRLINK_FHIR_URL="+closedPort(t)), "no answer")
}

// checkSettings checks that the example signs in when it has a token, and calls the token's
// resource.
func (e example) checkSettings(t *testing.T, run runner) {
	t.Helper()
	fhir := newClinic(t, "the-token")
	api := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("slug") != "other-clinic" || len(r.PostForm) != 2 {
			t.Errorf("the form is %v, %v", r.PostForm, err)
		}
		if got := r.Header.Get("Authorization"); r.Method != http.MethodPost || r.URL.Path != "/api/token" || got != "Bearer the-callers-token" {
			t.Errorf("%s %s with %q", r.Method, r.URL.Path, got)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"the-token","token_type":"Bearer","expires_in":3599,"scope":"%[1]s/.default","resource":"%[1]s"}`, fhir.URL)
	})
	out := run(t, false, "FHIRLINK_URL="+api+"/", "FHIRLINK_SLUG=other-clinic", "FHIRLINK_ACCESS_TOKEN=the-callers-token")
	says(t, out, "Token for "+fhir.URL+", valid for 3599 seconds.", "Patients: 42")
}

// checkUnusual checks how the example handles errors and unexpected answers.
func (e example) checkUnusual(t *testing.T, run runner) {
	t.Helper()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   []string
	}{
		{"try again later", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"temporarily_unavailable","error_description":"Entra is busy, try again."}`)
		}, []string{"try again in 7 seconds", "temporarily_unavailable: Entra is busy, try again."}},
		{"no right", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":"insufficient_scope","error_description":"This needs an application with the role Links.Token.All."}`)
		}, []string{"no token (HTTP 403)", "insufficient_scope: This needs an application with the role Links.Token.All."}},
		{"a proxy's page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>\n<h1>Bad Gateway</h1>\n</html>\n")
		}, []string{"no token (HTTP 502)", "does a proxy answer"}},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/token" {
				t.Errorf("it followed the redirect with Authorization %q", r.Header.Get("Authorization"))
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, nil},
	} {
		out := run(t, true, "FHIRLINK_URL="+newAPI(t, tt.answer), "FHIRLINK_ACCESS_TOKEN=the-callers-token")
		if strings.Contains(out, "the-callers-token") {
			t.Errorf("%s: the output contains the caller's token:\n%s", tt.name, out)
		}
		says(t, out, tt.want...)
	}
	says(t, run(t, true, "FHIRLINK_URL="+closedPort(t)), "no answer")
}

// newClinic starts a FHIR server that shows 42 patients to a caller with the token.
func newClinic(t *testing.T, token string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+json")
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method != http.MethodGet || r.URL.RequestURI() != "/Patient?_summary=count" || r.Header.Get("Accept") != "application/fhir+json":
			t.Errorf("%s %s with Accept %q", r.Method, r.URL, r.Header.Get("Accept"))
			w.WriteHeader(http.StatusBadRequest)
		default:
			_, _ = io.WriteString(w, "{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"searchset\",\n  \"total\": 42\n}\n")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func newAPI(t *testing.T, answer http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// closedPort returns an address where no server answers.
func closedPort(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}

// startLocal runs what make run runs, on a free port with a separate data folder.
func startLocal(t *testing.T) (url string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "local")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "fhirlink/functions/cmd/local").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	url = closedPort(t)
	var written bytes.Buffer
	cmd := exec.Command(program, "-addr", strings.TrimPrefix(url, "http://"), "-data", filepath.Join(t.TempDir(), "data"))
	cmd.Env, cmd.Stdout, cmd.Stderr = withoutSettings(os.Environ()), &written, &written
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("cmd/local: %v\n%s", err, &written)
		}
	})
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a, err := http.Get(url + "/api/health")
		if err == nil {
			a.Body.Close()
			return url
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("cmd/local does not answer: %v", err)
		}
	}
}

// registerClinic does what the banner of make run suggests first.
func registerClinic(t *testing.T, api string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{
		"slug": "good-health-clinic", "description": "Good Health Clinic", "fhirServerUrl": "https://clinic.fhir.sandbox.test/metadata",
		"clientId": "22222222-2222-4222-8222-222222222222", "clientSecret": "sandbox-secret-value",
		"secretExpiresOn": time.Now().AddDate(1, 0, 0).UTC().Format(time.DateOnly),
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.Post(api+"/api/register", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if answer, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusCreated {
		t.Fatalf("register: %s %s", a.Status, answer)
	}
}

// askToken returns the token that cmd/local caches and gives to each example.
func askToken(t *testing.T, api string) (token string) {
	t.Helper()
	a, err := http.Post(api+"/api/token", "application/json", strings.NewReader(`{"slug":"good-health-clinic"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("token: %s, %v", a.Status, err)
	}
	return answer.AccessToken
}
