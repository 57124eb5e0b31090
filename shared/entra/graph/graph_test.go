package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/graph"
	"fhirlink/shared/secret"
)

const client = "22222222-2222-4222-8222-222222222222"

// tokens issues one token and records what it was requested for.
type tokens struct {
	scope string
	err   error
}

func (s *tokens) Token(_ context.Context, _ entra.Credentials, scope string) (entra.Token, error) {
	s.scope = scope
	return entra.Token{Access: secret.New("graph-token"), ExpiresOn: time.Now().Add(time.Hour)}, s.err
}

// ask serves body as Graph's answer, and returns the request that Graph received.
func ask(t *testing.T, status int, body, keyID string) (entra.SecretEnd, *http.Request, error) {
	t.Helper()
	var got *http.Request
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Location", "https://evil.example/")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	defer server.Close()
	source := &tokens{}
	c := graph.Client{HTTP: server.Client(), Tokens: source, Host: func(string) string { return server.URL }}
	end, err := c.SecretEnd(t.Context(), entra.Credentials{
		Authority: "https://login.microsoftonline.com/", TenantID: client, ClientID: client, Credential: credential.ClientSecret{Value: secret.New("abc-the-secret")},
	}, keyID)
	if source.scope != server.URL+"/.default" {
		t.Errorf("the token is for %q", source.scope)
	}
	return end, got, err
}

func body(passwords ...string) string {
	return `{"@odata.context":"x","passwordCredentials":[` + strings.Join(passwords, ",") + `]}`
}

func password(hint, keyID, end string) string {
	return fmt.Sprintf(`{"customKeyIdentifier":null,"displayName":"x","endDateTime":%q,"hint":%q,"keyId":%q,"secretText":null,"startDateTime":"2026-01-01T00:00:00Z"}`, end, hint, keyID)
}

func TestSecretEnd(t *testing.T) {
	const may, june, july = "2027-05-01T10:11:12.1234567Z", "2027-06-01T00:00:00Z", "2027-07-01T00:00:00Z"
	for name, c := range map[string]struct {
		body, keyID string
		want, end   string // KeyID and date; "" when the date is not known
	}{
		"the only one":               {body(password("abc", "k1", may)), "", "k1", "2027-05-01"},
		"one of several":             {body(password("xyz", "k0", june), password("abc", "k1", may), password("ab", "k2", june)), "", "k1", "2027-05-01"},
		"two of one hint":            {body(password("abc", "k1", may), password("abc", "k2", june)), "", "", ""},
		"two of one hint, known":     {body(password("abc", "k1", may), password("abc", "k2", june)), "K2", "k2", "2027-06-01"},
		"two of one hint, one day":   {body(password("abc", "k1", june), password("abc", "k2", "2027-06-01T23:00:00Z")), "", "", "2027-06-01"},
		"known, with another hint":   {body(password("xyz", "k1", may), password("abc", "k2", july)), "k1", "k2", "2027-07-01"},
		"none":                       {body(), "", "", ""},
		"another hint":               {body(password("xyz", "k1", may)), "", "", ""},
		"no hint":                    {`{"passwordCredentials":[{"hint":null,"keyId":"k1","endDateTime":"2027-05-01T00:00:00Z"}]}`, "", "", ""},
		"no end":                     {`{"passwordCredentials":[{"hint":"abc","keyId":"k1","endDateTime":null}]}`, "", "", ""},
		"no list":                    {`{}`, "", "", ""},
		"known, and its end is null": {`{"passwordCredentials":[{"hint":"abc","keyId":"k1"}]}`, "k1", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			end, r, err := ask(t, 200, c.body, c.keyID)
			if c.end == "" {
				if !errors.Is(err, graph.ErrUnknown) {
					t.Errorf("%+v, %v", end, err)
				}
				return
			}
			if err != nil || end.KeyID != c.want || end.At.UTC().Format(time.DateOnly) != c.end {
				t.Errorf("%+v, %v", end, err)
			}
			if r.URL.RequestURI() != "/v1.0/applications(appId='"+client+"')?$select=passwordCredentials" || r.Header.Get("Authorization") != "Bearer graph-token" {
				t.Errorf("asked %s %v", r.URL.RequestURI(), r.Header)
			}
		})
	}
}

func TestSecretEndFails(t *testing.T) {
	for status, want := range map[int]error{
		401: graph.ErrDenied, 403: graph.ErrDenied, 404: graph.ErrDenied,
		302: graph.ErrNoReply, 429: graph.ErrNoReply, 500: graph.ErrNoReply, 503: graph.ErrNoReply,
	} {
		if _, _, err := ask(t, status, `{"error":{"code":"x","message":"canary"}}`, ""); !errors.Is(err, want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
	}
	for _, text := range []string{"", "<html>canary</html>", `{"passwordCredentials":"x"}`, body(password("abc", "k", "soon"))} {
		if _, _, err := ask(t, 200, text, ""); !errors.Is(err, graph.ErrNoReply) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
	of := func(authority string) entra.Credentials {
		return entra.Credentials{Authority: authority, Credential: credential.ClientSecret{Value: secret.New("abc")}}
	}
	c := graph.Client{HTTP: http.DefaultClient, Tokens: &tokens{}}
	if _, err := c.SecretEnd(t.Context(), of("https://login.sandbox.test/"), ""); !errors.Is(err, graph.ErrNoGraph) {
		t.Errorf("the sandbox: %v", err)
	}
	c.Tokens = &tokens{err: &entra.Unreachable{Reason: "timed out"}}
	if _, err := c.SecretEnd(t.Context(), of("https://login.microsoftonline.com/"), ""); !errors.Is(err, graph.ErrNoReply) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := c.SecretEnd(t.Context(), entra.Credentials{Credential: credential.Certificate{}}, ""); !errors.Is(err, graph.ErrNoSecret) {
		t.Errorf("a certificate: %v", err)
	}
}

func TestHost(t *testing.T) {
	for authority, want := range map[string]string{
		"https://login.microsoftonline.com/":              "https://graph.microsoft.com",
		"https://Login.MicrosoftOnline.us/":               "https://graph.microsoft.us",
		"https://login.sandbox.test/":                     "",
		"https://login.microsoftonline.com.evil.example/": "",
		"%": "",
	} {
		if got := graph.Host(authority); got != want {
			t.Errorf("%s: %q, want %q", authority, got, want)
		}
	}
}

// FuzzAnswer: any answer of Graph leads to a date or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(body(password("abc", "k1", "2027-05-01T00:00:00Z")))
	f.Add(`{"passwordCredentials":[null,{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		end, _, err := ask(t, 200, text, "k1")
		if err == nil && end.At.IsZero() {
			t.Errorf("%q: %+v without an error", text, end)
		}
	})
}
