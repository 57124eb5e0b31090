package smartauth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

// oneLink is the links of a deployment that has one, and a signing key.
type oneLink struct{ link.Link }

func (o oneLink) Get(context.Context, string, string) (link.Link, error) { return o.Link, nil }
func (o oneLink) KeepSlug(context.Context, string, string) error         { return nil }
func (o oneLink) Keys(context.Context) ([]jose.JSONWebKey, error)        { return nil, nil }

func (o oneLink) Live(ctx context.Context, slug string) (link.Link, error) {
	if slug != string(o.Slug) {
		return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	return o.Link, ctx.Err()
}

// TestBegunRequest: everything that the answer to an app depends on is kept as it was sent.
func TestBegunRequest(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	rows, clock := rowtest.New(), func() time.Time { return now }
	s := New(Deps{Rows: rows, Now: clock, Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", secrettest.New(), clock, slog.New(slog.DiscardHandler)), PublicURL: "https://links.example.org", Now: clock}})
	links := oneLink{link.Link{Slug: "clinic", ID: "id-1", FHIRServerURL: "https://clinic.example/fhir"}}
	s.Links, s.Keys, s.PublicURL, s.Authorize = links, links, "https://links.example.org", func(link.Link) string { return "https://login.example/" }
	server, _, err := s.PutSettings(t.Context(), "o", "clinic", Precondition{IfNoneMatch: "*"}, NewSettings{Tokens: "fhirlink"})
	if err != nil {
		t.Fatal(err)
	}
	var in NewApp
	if err := json.Unmarshal([]byte(`{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid"],"authorizationResponseIss":true}`), &in); err != nil {
		t.Fatal(err)
	}
	app, _, _, err := s.CreateApp(t.Context(), "o", "clinic", in)
	if err != nil {
		t.Fatal(err)
	}
	const challenge, state, nonce = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "a\xff\x00b", "n\xff"
	begun, err := s.Begin(t.Context(), "clinic", url.Values{
		"response_type": {"code"}, "client_id": {"one"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid email"}, "state": {state}, "nonce": {nonce}, "aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := handle.Look[request](t.Context(), handle.Store{Rows: rows, Sealer: s.Sealer}, handle.Request, handle.Handle(begun.Cookie.Value), "id-1")
	if err != nil || kept.SettingsID != server.Settings.ID || kept.AppID != app.ID || kept.ClientID != "one" || kept.RedirectURI != "https://app.example/cb" || string(kept.State) != state || string(kept.Nonce) != nonce || kept.Challenge != challenge ||
		strings.Join(kept.Scopes, " ") != "openid" || kept.Audience != "https://clinic.example/fhir" || kept.Issuer != "https://links.example.org/api/smart/clinic" || len(kept.EntraVerifier) != 43 || !strings.Contains(begun.URL, "nonce="+kept.EntraNonce) {
		t.Errorf("%v", err)
	}

	for _, value := range []any{kept, begun, User{Name: "canary"}, Grant{ID: "canary"}, []any{kept, Grant{ID: "canary"}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "canary") || strings.Contains(text, kept.EntraVerifier) || strings.Contains(text, "login.example") {
				t.Errorf("%s of a %T is %s", verb, value, text)
			}
		}
	}

	// Strangers fill no memory: neither by what is not there, nor while nothing can be read.
	for i := range 100 {
		_, _ = s.Server(t.Context(), fmt.Sprintf("unknown-%d", i)) // the errors are tested elsewhere
	}
	rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		_, _ = s.Server(over, fmt.Sprintf("cancelled-%d", i))
	}
	if n := len(s.servers.kept); n != 1 {
		t.Errorf("%d servers are remembered", n)
	}
}
