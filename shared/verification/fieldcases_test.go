package verification_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// wireAnswer is one answer of a server from the field.
type wireAnswer struct {
	Status int         `json:"status"`
	Header [][2]string `json:"header"`
	Body   string      `json:"body"`
}

// fieldCase is what a real server answered, or one like it, and what the verification makes of it.
type fieldCase struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Input struct {
		Base      string      `json:"base"`
		Authority string      `json:"authority"`
		PublicURL string      `json:"publicURL"`
		Tenant    string      `json:"tenant"`
		Audience  string      `json:"audience"`
		Metadata  wireAnswer  `json:"metadata"`
		Anonymous wireAnswer  `json:"anon"`
		Read      wireAnswer  `json:"read"`
		SMART     *wireAnswer `json:"smart"`
	} `json:"input"`
	Right struct {
		Status  verification.Status  `json:"status"`
		Outcome verification.Outcome `json:"outcome"`
		Access  verification.Access  `json:"access"`
		Codes   map[string]string    `json:"codes"` // by check
		Says    []string             `json:"says"`  // in messages and fixes
		Never   []string             `json:"never"`
	} `json:"right"`
}

// fieldServer answers as the server of a case. A body may hold TOKEN, which stands for the token
// that it was sent.
type fieldServer struct {
	fieldCase
	requests []string
}

func (s *fieldServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	authorization := r.Header.Get("Authorization")
	a := s.Input.Read
	switch {
	case strings.HasSuffix(r.URL.Path, "/metadata"):
		a = s.Input.Metadata
	case strings.HasSuffix(r.URL.Path, "/.well-known/smart-configuration"):
		a = wireAnswer{Status: http.StatusNotFound}
		if s.Input.SMART != nil {
			a = *s.Input.SMART
		}
	case authorization == "":
		a = s.Input.Anonymous
	}
	h := http.Header{}
	for _, pair := range a.Header {
		h.Add(pair[0], pair[1])
	}
	body := strings.ReplaceAll(a.Body, "TOKEN", strings.TrimPrefix(authorization, "Bearer "))
	return &http.Response{StatusCode: a.Status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// willing is an Entra that issues a token for every audience.
type willing struct{ authority *entratest.Authority }

func (w willing) Token(_ context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	return entra.Token{Access: secret.New(w.authority.Sign(nil, map[string]any{
		"aud": strings.TrimSuffix(scope, "/.default"), "iss": "https://sts.windows.net/" + c.TenantID + "/", "tid": c.TenantID, "appid": c.ClientID,
		"oid": objectID, "ver": "1.0", "exp": time.Now().Add(time.Hour).Unix(),
	}))}, nil
}

// Every answer that was seen in the field, or is like one, gets the right finding and words that
// help.
func TestFieldCases(t *testing.T) {
	text, err := os.ReadFile("testdata/field-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []fieldCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	authority := entratest.Sandbox(entratest.Registration{URL: login, TenantID: tenant, ClientID: client, Secret: good, ExpiredSecret: expired, Zone: zone})
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			server := &fieldServer{fieldCase: c}
			c.check(t, server.verify(t, willing{authority}))
			for _, request := range server.requests {
				if !strings.HasPrefix(request, "GET ") {
					t.Errorf("%s was sent", request)
				}
			}
		})
	}
}

func (s *fieldServer) verify(t *testing.T, tokens entra.TokenSource) verification.Report {
	t.Helper()
	base, _, mistake := fhir.ParseBaseURL(s.Input.Base, false)
	if mistake != nil {
		t.Fatalf("%+v", mistake)
	}
	v := verification.Verifier{
		Client: &http.Client{Transport: s, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Tokens: tokens, Authority: func(fhir.BaseURL) string { return s.Input.Authority + "/" }, PublicURL: s.Input.PublicURL,
	}
	return v.Verify(t.Context(), verification.Target{
		Server: base, TenantID: s.Input.Tenant, Audience: s.Input.Audience, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(good)},
	})
}

func (c fieldCase) check(t *testing.T, r verification.Report) {
	t.Helper()
	if r.Status != c.Right.Status || r.Outcome() != c.Right.Outcome || r.Access != c.Right.Access {
		t.Errorf("%s, %s, access %s; want %s, %s, %s", r.Status, r.Outcome(), r.Access, c.Right.Status, c.Right.Outcome, c.Right.Access)
	}
	var words strings.Builder
	for _, k := range r.Checks {
		t.Logf("%-9s %-7s %-24s %s | %s", k.ID, k.Status, k.Code, k.Message, k.Fix)
		words.WriteString(k.Message + "\n" + k.Fix + "\n")
		want := c.Right.Codes[k.ID]
		if want != "" && k.Code != want || want == "" && (k.Status == verification.Fail || k.Status == verification.Warn) {
			t.Errorf("%s: %s, want %s", k.ID, k.Code, want)
		}
	}
	for _, text := range c.Right.Says {
		if !strings.Contains(words.String(), text) {
			t.Errorf("nothing says %q", text)
		}
	}
	for _, text := range slices.Concat(c.Right.Never, []string{"eyJ", "<", "{", "}", "\u0007", good}) {
		if strings.Contains(words.String(), text) {
			t.Errorf("something says %q", text)
		}
	}
}
