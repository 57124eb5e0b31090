package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/config"
)

// expiresOn is a year away: neither close nor later than Entra allows.
var expiresOn = time.Now().AddDate(1, 0, 0).Format(time.DateOnly)

// console collects what a running program prints.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{} // gets a value after a write
}

func newConsole() *console { return &console{news: make(chan struct{}, 1)} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return c.text.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// find waits until the output matches the pattern.
func (c *console) find(t *testing.T, pattern string) []string {
	t.Helper()
	for re := regexp.MustCompile(pattern); ; {
		if found := re.FindStringSubmatch(c.String()); found != nil {
			return found
		}
		select {
		case <-c.news:
		case <-time.After(20 * time.Second):
			t.Fatalf("no %q in:\n%s", pattern, c)
		}
	}
}

// launched is a call of run.
type launched struct {
	url    string
	stdout *console
	stop   context.CancelFunc
	status chan int
}

func startProgram(t *testing.T, args ...string) *launched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &launched{stdout: newConsole(), stop: cancel, status: make(chan int, 1)}
	go func() { l.status <- run(ctx, args, lookup(nil), l.stdout, io.Discard) }()
	l.url = l.stdout.find(t, `answers on (http://\S+) `)[1]
	return l
}

// The banner's commands work when they are copied as they are, and a stop is clean. A second
// start lists the existing links.
func TestBanner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	first := startProgram(t, "-addr", "127.0.0.1:0", "-data", folder)
	page := "http://localhost" + first.url[strings.LastIndex(first.url, ":"):] + "/api/manage/"
	if line, _, _ := strings.Cut(first.stdout.String(), "\n"); line != "Open "+page+" in a browser: the page to link FHIR servers." {
		t.Errorf("the first line: %s", line)
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	app := first.stdout.find(t, `(?m)^Try a SMART app: (http://127\.0\.0\.1:\d+/)$`)[1]
	shown, _, _ := strings.Cut(first.stdout.String(), "\nWhat else there is")
	plain := strings.NewReplacer(first.url, "http://127.0.0.1:7071", page, "http://localhost:7071/api/manage/", app, "http://127.0.0.1:7073/", folder, ".fhirlink").Replace(shown)
	date := regexp.MustCompile(`"secretExpiresOn": "[0-9-]+"`)
	if !strings.Contains(date.ReplaceAllString(string(readme), ""), date.ReplaceAllString(strings.TrimSpace(plain), "")) {
		t.Errorf("the README shows another banner than\n%s", plain)
	}
	body := first.stdout.find(t, `(?s)/api/register -H 'Content-Type: application/json' -d '(\{.*?\})'\n`)[1]
	body = strings.ReplaceAll(body, "'", "") // as the shell does
	post(t, first.url+"/api/register", "application/json", body, http.StatusCreated)
	first.stdout.find(t, `curl -s `+first.url+`/api/token -d grant_type=client_credentials -d slug=good-health-clinic`)
	post(t, first.url+"/api/token", "application/x-www-form-urlencoded", "grant_type=client_credentials&slug=good-health-clinic", http.StatusOK)
	first.stdout.find(t, `curl -sG `+first.url+`/api/translate-scope --data-urlencode 'scope=patient/Observation.rs openid'`)
	first.stop()
	if status := <-first.status; status != exitOK {
		t.Errorf("exit status %d", status)
	}
	text := first.stdout.String()
	if !strings.Contains(text, `"msg":"token.issued"`) || strings.Contains(text, sandbox.Secret) {
		t.Errorf("the log lacks token.issued, or the output holds the secret:\n%s", text)
	}

	second := startProgram(t, "-addr", "127.0.0.1:0", "-data", folder)
	second.stdout.find(t, `slug=good-health-clinic`)
	post(t, second.url+"/api/token", "application/x-www-form-urlencoded", "grant_type=client_credentials&slug=good-health-clinic", http.StatusOK)
	second.stop()
	if status := <-second.status; status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

// TestSignInBanner: with -sign-in, the pages begin at the sandbox's Entra, and the first lines say who can
// sign in there.
func TestSignInBanner(t *testing.T) {
	l := startProgram(t, "-addr", "127.0.0.1:0", "-data", t.TempDir(), "-sign-in")
	defer l.stop()
	l.stdout.find(t, `sandbox Entra: ada may manage servers`)
	response, err := http.Get(l.url + "/api/manage/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if to := response.Header.Get("Refresh"); response.StatusCode != 200 || !strings.HasPrefix(to, "0; url=http://127.0.0.1:") || strings.Contains(to, l.url+"/") {
		t.Errorf("%d, Refresh %q", response.StatusCode, to)
	}
	// Programs without a token are let in as ever.
	health, err := http.Get(l.url + "/api/links")
	if err != nil {
		t.Fatal(err)
	}
	health.Body.Close()
	if health.StatusCode != 200 {
		t.Errorf("the API: %d", health.StatusCode)
	}
}

func post(t *testing.T, url, contentType, body string, want int) {
	t.Helper()
	response, err := http.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want || !json.Valid(answer) {
		t.Fatalf("%s: %d, %v: %s", url, response.StatusCode, err, answer)
	}
}

// TestStartWithDamagedData: a database that lost its end is named, whatever is left of it. It does
// not end the process, and is not changed.
func TestStartWithDamagedData(t *testing.T) {
	folder := t.TempDir()
	start(t, folder, nil).stop()
	file := filepath.Join(folder, databaseFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.NewReader(whole)
	needed := max(countedBytes(content, 0), countedBytes(content, int64(os.Getpagesize())))
	if needed < 4096 || needed > int64(len(whole)) {
		t.Fatalf("its meta pages count %d bytes, the file has %d", needed, len(whole))
	}
	for size := int64(0); size < needed; size += 2048 {
		if err := os.WriteFile(file, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openData(folder); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("%d of %d bytes: %v", size, len(whole), err)
		}
		if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, whole[:size]) {
			t.Errorf("%d of %d bytes: the file was changed: %v", size, len(whole), err)
		}
	}
	if err := os.WriteFile(file, whole[:needed], 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := openData(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	usedFolder := filepath.Join(t.TempDir(), "used")
	start(t, usedFolder, nil)
	noDatabase := t.TempDir()
	if err := os.WriteFile(filepath.Join(noDatabase, databaseFile), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		args     []string
		settings map[string]string
		status   int
		says     string
	}{
		{"everybody could reach it", []string{"-addr", "0.0.0.0:7071"}, nil, 2, "loopback"},
		{"port only", []string{"-addr", ":7071"}, nil, 2, "127.0.0.1:7071"},
		{"unknown flag", []string{"-port", "1"}, nil, 2, "-addr"},
		{"a word", []string{"start"}, nil, 2, `"start"`},
		{"wrong settings", nil, map[string]string{config.MaxLinks: "many", config.CORSOrigins: "*"}, 2, config.MaxLinks},
		{"port in use", []string{"-addr", taken.Addr().String(), "-data", t.TempDir()}, nil, 2, "-addr"},
		{"folder in use", []string{"-addr", "127.0.0.1:0", "-data", usedFolder}, nil, 2, "another process"},
		{"folder is a file", []string{"-data", filepath.Join(usedFolder, databaseFile)}, nil, 2, "-data"},
		{"no database", []string{"-data", noDatabase}, nil, 2, "not a database"},
		{"nowhere to sign in", []string{"-addr", "127.0.0.1:0", "-data", t.TempDir(), "-sandbox=false", "-sign-in"}, nil, 2, "nowhere to sign in"},
		{"nothing to sign in to", []string{"-addr", "127.0.0.1:0", "-data", t.TempDir(), "-sign-in"}, map[string]string{config.APIAudience: "api://fhirlink", config.AllowedTenants: sandbox.TenantID}, 2, config.APIAudience},
		{"help", []string{"-help"}, nil, 0, "-sandbox"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), c.args, lookup(c.settings), &stdout, &stderr)
			if status != c.status || !strings.Contains(stderr.String(), c.says) || strings.Contains(stdout.String(), "answers on") {
				t.Errorf("status %d\nstdout: %s\nstderr: %s", status, &stdout, &stderr)
			}
		})
	}
}
