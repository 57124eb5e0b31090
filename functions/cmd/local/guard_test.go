package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/shared/eventlog"
)

func TestGuard(t *testing.T) {
	const (
		friend   = "http://localhost:3000"
		stranger = "https://evil.example"
	)
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	var log bytes.Buffer
	g, err := newGuard(reached, []string{friend}, "", refuser{eventlog.New(&log, slog.LevelInfo)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, host string
		header             map[string]string
		want               int
	}{
		{"curl", "GET", "localhost:7071", nil, 202},
		{"curl to the address", "POST", "127.0.0.1:7071", nil, 202},
		{"curl to IPv6", "POST", "[::1]:7071", nil, 202},
		{"default port", "GET", "localhost", nil, 202},
		{"IPv6, default port", "GET", "[::1]", nil, 202},
		{"upper case", "GET", "LOCALHOST:7071", nil, 202},
		{"another name", "GET", "evil.example:7071", nil, 421},
		{"a name that resolves here", "GET", "localhost.evil.example", nil, 421},
		{"a name below localhost", "GET", "app.localhost:7071", nil, 421},
		{"trailing dot", "GET", "localhost.:7071", nil, 421},
		{"another loopback address", "GET", "127.0.0.2:7071", nil, 421},
		{"number for an address", "GET", "2130706433", nil, 421},
		{"bare IPv6", "GET", "::1", nil, 421},
		{"no host", "GET", "", nil, 421},
		{"rebinding says same-origin", "POST", "evil.example", map[string]string{"Sec-Fetch-Site": "same-origin"}, 421},

		{"typed into the address bar", "GET", "localhost:7071", map[string]string{"Sec-Fetch-Site": "none"}, 202},
		{"own page", "POST", "localhost:7071", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:7071"}, 202},
		{"cross-site change", "POST", "localhost:7071", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": stranger}, 403},
		{"cross-site delete", "DELETE", "localhost:7071", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": stranger}, 403},
		{"cross-site read", "GET", "localhost:7071", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"cross-site preflight", "OPTIONS", "localhost:7071", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": stranger}, 403},
		{"another port", "POST", "localhost:7071", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"}, 403},
		{"old browser, another site", "POST", "localhost:7071", map[string]string{"Origin": stranger}, 403},
		{"old browser, another site reads", "GET", "localhost:7071", map[string]string{"Origin": stranger}, 403},
		{"sandboxed frame", "POST", "localhost:7071", map[string]string{"Origin": "null"}, 403},
		{"unknown relation", "GET", "localhost:7071", map[string]string{"Sec-Fetch-Site": "elsewhere"}, 403},
		{"friend changes", "POST", "localhost:7071", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": friend}, 202},
		{"friend reads", "GET", "localhost:7071", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": friend}, 202},
		{"friend's preflight", "OPTIONS", "127.0.0.1:7071", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": friend}, 202},
		{"friend, but another host", "POST", "evil.example", map[string]string{"Origin": friend}, 421},
	} {
		for _, path := range []string{"/", "/api/links", "/api/token", "/api/manage/", "/api/manage/add"} {
			r := httptest.NewRequest(c.method, path, nil)
			r.Host = c.host
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			log.Reset()
			g.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: %s %s gave %d, want %d", c.name, c.method, path, w.Code, c.want)
			}
			if w.Code != http.StatusAccepted {
				checkRefusal(t, path, w, log.String())
			}
		}
	}
}

// checkRefusal checks that a refusal has the form of the route's errors and is logged.
func checkRefusal(t *testing.T, path string, w *httptest.ResponseRecorder, log string) {
	t.Helper()
	if !strings.Contains(log, fmt.Sprintf(`"status":%d,`, w.Code)) || strings.Contains(log, "evil") {
		t.Errorf("%s: %d, logged %s", path, w.Code, log)
	}
	vary := w.Header().Get("Vary")
	if strings.HasPrefix(path, "/api/manage/") {
		code := map[int]string{421: "misdirected_request", 403: "forbidden"}[w.Code]
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(w.Body.String(), "<h1>") || w.Header().Get("Content-Security-Policy") == "" || !strings.Contains(log, `"outcome":"`+code+`"`) {
			t.Errorf("%s: %v %s, logged %s", path, w.Header(), w.Body, log)
		}
		return
	}
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v in %s", path, err, w.Body)
	}
	if path == "/api/token" {
		if body["error"] != "invalid_request" || body["error_description"] == "" || vary != "" || !strings.Contains(log, `"outcome":"invalid_request"`) {
			t.Errorf("%s: %v, Vary %q, logged %s", path, body, vary, log)
		}
		return
	}
	code := map[int]string{421: "misdirected_request", 403: "forbidden"}[w.Code]
	correlation := strings.TrimPrefix(fmt.Sprint(body["instance"]), "urn:uuid:")
	if vary != "Origin" || !strings.Contains(log, `"outcome":"`+code+`"`) || !strings.Contains(log, `"correlation":"`+correlation+`"`) {
		t.Errorf("%s: %v, Vary %q, logged %s", path, body, vary, log)
	}
	if body["code"] != code || body["status"] != float64(w.Code) || body["title"] == "" || body["detail"] == "" {
		t.Errorf("%s: %v", path, body)
	}
}

// TestGuardLetsLinksOpenPages: a link on another site or in a mail may open a page, and nothing else.
func TestGuardLetsLinksOpenPages(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	g, err := newGuard(reached, nil, "", refuser{eventlog.New(&bytes.Buffer{}, slog.LevelInfo)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, mode, destination string
		want                            int
	}{
		{"GET", "/api/manage/", "navigate", "document", 202},
		{"GET", "/api/manage", "navigate", "document", 202},
		{"GET", "/", "navigate", "document", 202},
		{"GET", "/api/manage/servers/clinic", "navigate", "document", 202},
		{"GET", "/api/manage/", "navigate", "iframe", 403},
		{"GET", "/api/manage/", "cors", "empty", 403},
		{"GET", "/api/manage/servers/clinic/report.json", "no-cors", "script", 403},
		{"HEAD", "/api/manage/", "navigate", "document", 403},
		{"POST", "/api/manage/add", "navigate", "document", 403},
		{"POST", "/api/manage/scopes", "navigate", "document", 403},
		{"GET", "/api/managed", "navigate", "document", 403},
		{"GET", "/api/links", "navigate", "document", 403},
		{"GET", "/api/smart/clinic/.well-known/smart-configuration", "cors", "empty", 202},
		{"GET", "/api/smart/clinic/jwks", "cors", "empty", 202},
		{"POST", "/api/smart/clinic/token", "cors", "empty", 202},
		{"POST", "/api/smart/clinic/oauth2/v2.0/token", "cors", "empty", 202},
		{"OPTIONS", "/api/smart/clinic/revoke", "cors", "empty", 202},
		{"GET", "/api/smart/clinic/authorize", "navigate", "document", 202},
		{"POST", "/api/smart/clinic/authorize", "navigate", "document", 202},
		{"GET", "/api/smart/clinic/oauth2/v2.0/authorize", "navigate", "document", 202},
		{"GET", "/api/smart/clinic/authorize", "navigate", "iframe", 403},
		{"POST", "/api/smart/clinic/authorize", "cors", "empty", 403},
		{"GET", "/api/smart/clinic/callback", "navigate", "document", 202},
		{"GET", "/api/smart/clinic/call%62ack", "cors", "empty", 403},
		{"POST", "/api/smart/clinic/callback", "navigate", "document", 403},
		{"POST", "/api/smart/clinic/continue", "cors", "empty", 403},
		{"GET", "/api/smart/clinic/x//authorize", "cors", "empty", 403},
		{"GET", "/api/smart/clinic/Authorize", "navigate", "document", 403},
		{"DELETE", "/api/smart/clinic/anything", "cors", "empty", 403},
		{"GET", "/api/smart/../links", "cors", "empty", 403},
		{"GET", "/api/smart/clinic/../../links", "cors", "empty", 403},
		{"GET", "/api/smart/%2e%2e/links", "cors", "empty", 403},
		{"GET", "/api/links/clinic/smart", "cors", "empty", 403},
		{"GET", "/api/smart", "cors", "empty", 403},
		{"GET", "/sandbox/fhir/clinic/Patient/p-1", "cors", "empty", 202},
		{"PUT", "/sandbox/fhir/clinic/Patient/p-1", "cors", "empty", 202},
		{"OPTIONS", "/sandbox/fhir/clinic/metadata", "cors", "empty", 202},
		{"GET", "/sandbox/fhir/../notifications", "cors", "empty", 403},
		{"GET", "/sandbox/fhir/%2e%2e/%2e%2e/api/links", "cors", "empty", 403},
		{"GET", "/sandbox/notifications", "cors", "empty", 403},
		{"POST", "/sandbox/revoke", "cors", "empty", 403},
		{"GET", "/sandbox/fhir", "cors", "empty", 403},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Host = "localhost:7071"
		r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {c.mode}, "Sec-Fetch-Dest": {c.destination}}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s as %s of %s gave %d, want %d", c.method, c.path, c.mode, c.destination, w.Code, c.want)
		}
	}
}

// TestGuardLetsTheAuthorityAnswer: the site where people sign in may post to one page, and do nothing
// else.
func TestGuardLetsTheAuthorityAnswer(t *testing.T) {
	const site = "http://127.0.0.1:7072"
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	quiet := refuser{slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		authority, method, path, origin string
		want                            int
	}{
		{site, "POST", "/api/manage/signed-in", site, 202},
		{site, "POST", "/api/manage/signed-in", "http://127.0.0.1:7073", 403},
		{site, "POST", "/api/manage/signed-in", "https://evil.example", 403},
		{site, "POST", "/api/manage/signed-in", "null", 403},
		{site, "POST", "/api/manage/signed-in", "", 403},
		{site, "POST", "/api/manage/signed-in/", site, 403},
		{site, "POST", "/api/manage/add", site, 403},
		{site, "POST", "/api/manage/sign-out", site, 403},
		{site, "POST", "/api/register", site, 403},
		{site, "GET", "/api/links", site, 403},
		{site, "DELETE", "/api/manage/signed-in", site, 403},
		{"", "POST", "/api/manage/signed-in", site, 403},
		{"", "POST", "/api/manage/signed-in", "", 403},
	} {
		g, err := newGuard(reached, nil, c.authority, quiet)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Host = "localhost:7071"
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": c.origin} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s from %q, authority %q: %d, want %d", c.method, c.path, c.origin, c.authority, w.Code, c.want)
		}
	}
}

func TestGuardRefusesBadOrigins(t *testing.T) {
	if _, err := newGuard(nil, []string{"localhost:3000"}, "", refuser{}); err == nil || !strings.Contains(err.Error(), "FHIRLINK_CORS_ORIGINS") {
		t.Errorf("error %v", err)
	}
}

func TestCheckLoopback(t *testing.T) {
	for addr, good := range map[string]bool{
		"127.0.0.1:7071": true, "[::1]:0": true, "localhost:80": true, "127.9.9.9:1": false,
		"0.0.0.0:7071": false, ":7071": false, "[::]:7071": false, "192.168.0.4:7071": false,
		"example.org:7071": false, "127.0.0.1": false, "": false,
	} {
		if err := checkLoopback(addr); (err == nil) != good {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
