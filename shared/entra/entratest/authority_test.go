package entratest_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/secret"
)

const (
	tenant    = "11111111-1111-4111-8111-111111111111"
	client    = "22222222-2222-4222-8222-222222222222"
	unknownID = "12121212-1212-4212-8212-121212121212"
	resource  = "https://clinic.fhir.sandbox.test"
	works     = "sandbox-secret-value"
	expired   = "sandbox-expired-value"
)

func sandbox() *entratest.Authority {
	return entratest.Sandbox(entratest.Registration{
		URL: "https://login.sandbox.test/", TenantID: tenant, ClientID: client,
		Secret: works, ExpiredSecret: expired, Zone: "fhir.sandbox.test",
	})
}

func credentials() entra.Credentials {
	return entra.Credentials{Authority: "https://login.sandbox.test/", TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(works)}}
}

func TestSandbox(t *testing.T) {
	a := sandbox()
	source := a.Source()
	token, err := source.Token(t.Context(), credentials(), resource+"/.default")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := a.Check(token.Access.Reveal())
	if err != nil || claims.Audience[0] != resource || claims.TenantID != tenant || claims.AppID != client || claims.ObjectID == "" || claims.Version != "1.0" {
		t.Errorf("claims %+v (%v)", claims, err)
	}
	if left := time.Until(token.ExpiresOn); left < 3500*time.Second || left > 3599*time.Second {
		t.Errorf("%v left", left)
	}
	if a.Tokens.Load() != 1 || source.Calls.Load() != 1 {
		t.Errorf("%d requests, %d calls", a.Tokens.Load(), source.Calls.Load())
	}
}

func TestSandboxRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*entra.Credentials)
		scope  string
		code   string
		class  entra.Class
	}{
		{"expired secret", func(c *entra.Credentials) { c.Credential = credential.ClientSecret{Value: secret.New(expired)} }, resource + "/.default", "aadsts_7000222", entra.Expired},
		{"another secret", func(c *entra.Credentials) { c.Credential = credential.ClientSecret{Value: secret.New("x")} }, resource + "/.default", "aadsts_7000215", entra.Config},
		{"no secret", func(c *entra.Credentials) { c.Credential = credential.ClientSecret{} }, resource + "/.default", "aadsts_7000218", entra.Config},
		{"another client id", func(c *entra.Credentials) { c.ClientID = unknownID }, resource + "/.default", "aadsts_700016", entra.Config},
		{"another tenant", func(c *entra.Credentials) { c.TenantID = unknownID }, resource + "/.default", "aadsts_90002", entra.Config},
		{"tenant malformed", func(c *entra.Credentials) { c.TenantID = "x" }, resource + "/.default", "aadsts_900023", entra.Config},
		{"another resource", nil, "https://fhir.example.com/.default", "aadsts_500011", entra.Config},
		{"the zone without a server", nil, "https://fhir.sandbox.test/.default", "aadsts_500011", entra.Config},
		{"no default", nil, resource, "aadsts_1002012", entra.Config},
	} {
		token, err := sandbox().Source().Token(t.Context(), withChange(c.change), c.scope)
		var r *entra.Refusal
		if !errors.As(err, &r) || r.Code() != c.code || r.Class() != c.class || token != (entra.Token{}) {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
}

func withChange(change func(*entra.Credentials)) entra.Credentials {
	c := credentials()
	if change != nil {
		change(&c)
	}
	return c
}

// The form is checked as RFC 6749 §3.2 and §4.4.2 require.
func TestForm(t *testing.T) {
	const path = "/" + tenant + "/oauth2/v2.0/token"
	const kind = "application/x-www-form-urlencoded"
	complete := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {works}, "scope": {resource + "/.default openid offline_access profile"}}
	without := func(name string) string {
		form := url.Values{}
		for k, v := range complete {
			if k != name {
				form[k] = v
			}
		}
		return form.Encode()
	}
	for _, c := range []struct {
		name, method, kind, body string
		status                   int
		oauth                    string
		number                   int
	}{
		{"complete", "POST", kind, complete.Encode(), 200, "", 0},
		{"with a charset", "POST", kind + "; charset=utf-8", complete.Encode(), 200, "", 0},
		{"GET", "GET", "", "", 400, "invalid_request", 900561},
		{"JSON", "POST", "application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request", 900144},
		{"not readable", "POST", kind, "a=%zz", 400, "invalid_request", 900144},
		{"too large", "POST", kind, complete.Encode() + "&x=" + strings.Repeat("x", 65<<10), 400, "invalid_request", 900144},
		{"no grant_type", "POST", kind, without("grant_type"), 400, "invalid_request", 900144},
		{"no client_id", "POST", kind, without("client_id"), 400, "invalid_request", 900144},
		{"no scope", "POST", kind, without("scope"), 400, "invalid_request", 900144},
		{"no secret", "POST", kind, without("client_secret"), 401, "invalid_client", 7000218},
		{"twice", "POST", kind, complete.Encode() + "&client_id=" + client, 400, "invalid_request", 9002313},
		{"another grant", "POST", kind, without("grant_type") + "&grant_type=password", 400, "unsupported_grant_type", 70003},
		{"two resources", "POST", kind, without("scope") + "&scope=https%3A%2F%2Fa%2F.default+https%3A%2F%2Fb%2F.default", 400, "invalid_scope", 1002012},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := httptest.NewRequest(c.method, path, strings.NewReader(c.body))
			request.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			sandbox().ServeHTTP(w, request)
			var wire struct {
				Error string `json:"error"`
				Codes []int  `json:"error_codes"`
				Trace string `json:"trace_id"`
				Time  string `json:"timestamp"`
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &wire); err != nil || w.Code != c.status || wire.Error != c.oauth {
				t.Fatalf("%d %s (%v)", w.Code, w.Body, err)
			}
			if w.Header().Get("Cache-Control") != "no-store, no-cache" || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("headers %v", w.Header())
			}
			if c.number == 0 {
				if wire.Token == "" {
					t.Errorf("no token in %s", w.Body)
				}
				return
			}
			if len(wire.Codes) != 1 || wire.Codes[0] != c.number || !entra.IsGUID(wire.Trace) || wire.Trace != w.Header().Get("X-Ms-Request-Id") {
				t.Errorf("got %+v", wire)
			}
			if _, err := time.Parse("2006-01-02 15:04:05Z", wire.Time); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenIDConfiguration(t *testing.T) {
	a := sandbox()
	get := func(path string) (int, map[string]any) {
		response, err := a.Client().Get("https://anything" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var document map[string]any
		if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
			return response.StatusCode, nil
		}
		return response.StatusCode, document
	}
	status, document := get("/" + strings.ToUpper(tenant) + "/v2.0/.well-known/openid-configuration")
	if status != 200 || document["token_endpoint"] != "https://login.sandbox.test/"+tenant+"/oauth2/v2.0/token" || document["issuer"] != "https://login.sandbox.test/"+tenant+"/v2.0" {
		t.Errorf("%d %v", status, document)
	}
	if status, document = get("/" + unknownID + "/v2.0/.well-known/openid-configuration"); status != 400 || document["error"] != "invalid_tenant" {
		t.Errorf("unknown tenant: %d %v", status, document)
	}
	if status, document = get("/common/discovery/v2.0/keys"); status != 200 || len(document["keys"].([]any)) != 1 {
		t.Errorf("keys: %d %v", status, document)
	}
	if status, _ = get("/nothing"); status != 404 {
		t.Errorf("unknown path: %d", status)
	}
	if a.Discoveries.Load() != 2 || a.KeyFetches.Load() != 1 || a.Tokens.Load() != 0 {
		t.Errorf("counted %d, %d, %d", a.Discoveries.Load(), a.KeyFetches.Load(), a.Tokens.Load())
	}
}

func TestCheck(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	a := sandbox()
	a.Now, a.Lifetime = func() time.Time { return now }, time.Minute
	token, err := a.Source().Token(t.Context(), credentials(), resource+"/.default")
	if err != nil || !token.ExpiresOn.Equal(now.Add(time.Minute)) {
		t.Fatal(token.ExpiresOn, err)
	}
	text := token.Access.Reveal()
	if _, err := a.Check(text); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Minute)
	if _, err := a.Check(text); err == nil || err.Error() != "the token is expired" {
		t.Errorf("at its end: %v", err)
	}
	now = now.Add(-time.Minute)
	for name, bad := range map[string]string{
		"changed": text[:len(text)-8] + "AAAAAAAA", "no base64": text[:len(text)-1] + "!", "unsigned": text[:strings.LastIndexByte(text, '.')+1], "opaque": "x",
	} {
		if _, err := a.Check(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a.Rotate(true)
	if _, err := a.Check(text); err == nil {
		t.Error("accepted though its key is withdrawn")
	}
}

func TestSet(t *testing.T) {
	a := sandbox()
	a.Set(entratest.Tenant{ID: tenant, Apps: []entratest.App{{ClientID: client, Roles: []string{"Reader"}, Secrets: []entratest.Secret{{Value: "new"}}}}})
	c := credentials()
	if _, err := a.Source().Token(t.Context(), c, resource+"/.default"); err == nil {
		t.Error("the old secret still works")
	}
	c.Credential = credential.ClientSecret{Value: secret.New("new")}
	token, err := a.Source().Token(t.Context(), c, resource+"/.default")
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := a.Check(token.Access.Reveal()); err != nil || len(claims.Roles) != 1 {
		t.Errorf("%+v, %v", claims, err)
	}
}

func TestKnobs(t *testing.T) {
	a := sandbox()
	for _, c := range []struct {
		before func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		{a.Throttle(7), "Entra answered 429 temporarily_unavailable (AADSTS90055): There are too many incoming requests."},
		{a.Refuse(400, "invalid_grant", 53003, "Blocked."), "Entra answered 400 invalid_grant (AADSTS53003): Blocked."},
		{entratest.WebPage(503), "the authority could not be reached: answered 503 with a web page"},
		{entratest.Answer(200, "application/json", `{}`), "the authority could not be reached: answered 200 with JSON of another shape"},
		{entratest.Redirect(307, "https://evil.example/"), "the authority could not be reached: answered 307, a redirect, which is never followed"},
	} {
		a.Before = c.before
		if _, err := a.Source().Token(t.Context(), credentials(), resource+"/.default"); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if response, err := a.Client().Get("https://x/common/discovery/v2.0/keys"); err != nil || response.StatusCode != 200 {
			t.Errorf("the knob reached another endpoint (%v)", err)
		}
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sandbox()
		a.Before = entratest.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		started := time.Now()
		_, err := a.Source().Token(ctx, credentials(), resource+"/.default")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

// InProcess passes to a handler what a server would pass to it.
func TestInProcess(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Host != "a.example:8443" || r.RequestURI != "/p?q=1" || string(body) != "body" {
			t.Errorf("host %s, uri %s, body %q (%v)", r.Host, r.RequestURI, body, err)
		}
		w.Header().Set("X", "1")
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Late", "1")
		_, _ = io.WriteString(w, "answer")
	})
	c := http.Client{Transport: entratest.InProcess(h)}
	response, err := c.Post("https://a.example:8443/p?q=1", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusTeapot || string(body) != "answer" || response.Header.Get("X") != "1" || response.Header.Get("Late") != "" {
		t.Errorf("%d %v %q (%v)", response.StatusCode, response.Header, body, err)
	}
}

// The host name of the FHIR server selects the scenario. It applies only to valid credentials,
// and only below the zone.
func TestScenarios(t *testing.T) {
	for _, name := range entratest.Scenarios() {
		a := sandbox()
		ask := func(change func(*entra.Credentials), host string) (entra.Token, string) {
			token, err := a.Source().Token(t.Context(), withChange(change), "https://"+host+"/.default")
			var r *entra.Refusal
			var u *entra.Unreachable
			switch {
			case errors.As(err, &r):
				return token, r.Code()
			case errors.As(err, &u):
				return token, u.Reason
			}
			return token, ""
		}
		want := map[string]string{"entra-no-token": "answered 200 with JSON of another shape", "entra-unreachable": "answered 503 with a web page"}[name]
		if strings.HasPrefix(name, "aadsts") || name == "entra-interaction-required" || name == "entra-unsupported-grant-type" {
			want = strings.ReplaceAll(name, "-", "_")
		}
		token, got := ask(nil, name+".fhir.sandbox.test")
		if got != want || token.Access.IsZero() != (want != "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if claims, err := a.Check(token.Access.Reveal()); want == "" && (err != nil || claims.ObjectID == "") {
			t.Errorf("%s: %v", name, err)
		}
		if _, got := ask(func(c *entra.Credentials) { c.Credential = credential.ClientSecret{Value: secret.New("x")} }, name+".fhir.sandbox.test"); got != "aadsts_7000215" {
			t.Errorf("%s with another secret: %q", name, got)
		}
		if _, got := ask(nil, name+".example.org"); got != "aadsts_500011" {
			t.Errorf("%s outside of the zone: %q", name, got)
		}
	}
}

// TestSign: the signatures are true ones, so that a test in which one is refused shows that its
// algorithm is, and not its signature.
func TestSign(t *testing.T) {
	a := entratest.New(entratest.Tenant{ID: tenant})
	answer := httptest.NewRecorder()
	a.ServeHTTP(answer, httptest.NewRequest("GET", "/common/discovery/v2.0/keys", nil))
	var set struct{ Keys []struct{ N string } }
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	modulus, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	published := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	for _, alg := range []string{"RS256", "RS512", "PS256"} {
		token, err := jwt.NewParser(jwt.WithValidMethods([]string{alg})).Parse(
			a.Sign(map[string]any{"alg": alg}, map[string]any{"a": 1}), func(*jwt.Token) (any, error) { return published, nil })
		if err != nil || !token.Valid {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
