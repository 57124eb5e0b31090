package resource_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/functions/cmd/local/sandbox/resource"
	"fhirlink/shared/fhir/fhirtest"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
)

// desk knows the links clinic, quiet (without SMART), throttled and real, whose server is not the sandbox's.
type desk struct {
	key    *rsa.PrivateKey
	kind   smartauth.ServerKind
	tokens smartauth.Tokens
	err    error
}

func (d *desk) link(_ context.Context, slug string) (link.Link, error) {
	l := link.Link{ID: slug, Slug: link.Slug(slug), TenantID: sandbox.TenantID, FHIRServerURL: "https://clinic.fhir.sandbox.test", Audience: "https://clinic.fhir.sandbox.test"}
	switch slug {
	case "throttled":
		l.FHIRServerURL = "https://throttled.fhir.sandbox.test"
	case "real":
		l.FHIRServerURL = "https://fhir.example.org"
	case "clinic", "quiet":
	default:
		return link.Link{}, problem.New(problem.LinkNotFound, "none")
	}
	return l, nil
}

func (d *desk) Server(ctx context.Context, slug string) (smartauth.Server, error) {
	if d.err != nil || slug == "quiet" {
		return smartauth.Server{}, errors.Join(d.err, smartauth.ErrUnknown)
	}
	l, err := d.link(ctx, slug)
	return smartauth.Server{Link: l, Settings: smartauth.Settings{Server: d.kind, Tokens: d.tokens}.For(l)}, err
}

func (d *desk) Metadata(ctx context.Context, slug string) (smartauth.Metadata, error) {
	_, err := d.Server(ctx, slug)
	return smartauth.Metadata{Issuer: d.Issuer(slug), AuthorizationEndpoint: d.Issuer(slug) + "/authorize", TokenEndpoint: d.Issuer(slug) + "/token"}, err
}

func (d *desk) KeySet(context.Context, string) (jose.JSONWebKeySet, error) {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.key.Public(), KeyID: "one"}}}, nil
}

func (d *desk) Issuer(slug string) string { return "http://localhost/api/smart/" + slug }

func (d *desk) token(t *testing.T, change jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": d.Issuer("clinic"), "aud": "https://clinic.fhir.sandbox.test", "exp": time.Now().Add(time.Minute).Unix(), "scope": "patient/*.rs launch/patient", "patient": "p-1",
	}
	for name, value := range change {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "one"
	signed, err := token.SignedString(d.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestServer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{key: key, kind: smartauth.Firely}
	server := resource.New(resource.Deps{
		Link: d.link, SMART: d, Owns: sandbox.Owns, PublicURL: "http://localhost", Now: time.Now, Issuers: sandbox.Issuers,
		Scenarios: func(usual http.HandlerFunc) http.Handler {
			return &fhirtest.Server{Domain: "fhir.sandbox.test", Usual: usual}
		},
	})
	good, wide, back := d.token(t, nil), d.token(t, jwt.MapClaims{"scope": "user/*.cruds", "patient": nil}), d.token(t, jwt.MapClaims{"scope": "patient/*.rs", "patient": nil})
	for _, tt := range []struct {
		name, method, path, token string
		status                    int
		has                       []string // in the body
		lacks                     string
	}{
		{"discovery", "GET", "clinic/.well-known/smart-configuration", "", 200, []string{`"issuer":"http://localhost/api/smart/clinic"`}, ""},
		{"metadata", "GET", "clinic/metadata", "", 200, []string{`"resourceType":"CapabilityStatement"`, "oauth-uris", "http://localhost/api/smart/clinic/authorize", `"url":"http://localhost/sandbox/fhir/clinic"`}, ""},
		{"metadata without SMART", "GET", "quiet/metadata", "", 200, []string{`"CapabilityStatement"`}, "oauth-uris"},
		{"discovery without SMART", "GET", "quiet/.well-known/smart-configuration", "", 404, []string{"OperationOutcome"}, ""},
		{"data without SMART", "GET", "quiet/Patient/p-1", good, 401, []string{"OperationOutcome"}, ""},
		{"no token", "GET", "clinic/Patient/p-1", "", 401, []string{"OperationOutcome"}, ""},
		{"no token at all", "GET", "clinic/Patient/p-1", "x.y", 401, []string{"signature"}, ""},
		{"another audience", "GET", "clinic/Patient/p-1", d.token(t, jwt.MapClaims{"aud": "x"}), 401, []string{"The audience is invalid"}, ""},
		{"another issuer", "GET", "clinic/Patient/p-1", d.token(t, jwt.MapClaims{"iss": "x"}), 401, []string{"The issuer is invalid"}, ""},
		{"expired", "GET", "clinic/Patient/p-1", d.token(t, jwt.MapClaims{"exp": 1}), 401, []string{"expired"}, ""},
		{"rejected", "GET", "clinic/Patient/p-1", back, 403, []string{"claim patient"}, ""},
		{"read", "GET", "clinic/Patient/p-1", good, 200, []string{`{"resourceType":"Patient","id":"p-1"`}, ""},
		{"out of reach", "GET", "clinic/Patient/p-2", good, 404, []string{"OperationOutcome"}, "Quinn"},
		{"absent", "GET", "clinic/Patient/p-3", good, 404, []string{"OperationOutcome"}, ""},
		{"search", "GET", "clinic/Observation?patient=p-1&category=laboratory&_sort=-date", good, 200, []string{`"total":2`, `"fullUrl":"http://localhost/sandbox/fhir/clinic/Observation/p-1-1"`}, "p-2"},
		{"search with a count", "GET", "clinic/Observation?_count=1", good, 200, []string{`"total":4`, "p-1-1"}, "Observation/p-1-2"},
		{"search by two categories", "GET", "clinic/Observation?category=laboratory,vital-signs&code=http://loinc.org|8867-4", good, 200, []string{`"total":1`, "Heart rate"}, ""},
		{"search for others", "GET", "clinic/Observation?patient=Patient/p-2", good, 200, []string{`"total":0`}, "entry"},
		{"search everybody", "GET", "clinic/Patient", wide, 200, []string{`"total":2`}, ""},
		{"search by what people have", "GET", "clinic/Patient?gender=male&birthdate=1954-11-02", wide, 200, []string{`"total":1`, "Quinn"}, ""},
		{"malformed query", "GET", "clinic/Patient?a=%zz", wide, 400, []string{"OperationOutcome"}, ""},
		{"write without a scope", "PUT", "clinic/Patient/p-1", good, 403, []string{"(u)"}, ""},
		{"write", "PUT", "clinic/Patient/p-1", wide, 405, []string{"stores nothing"}, ""},
		{"another method", "PATCH", "clinic/Patient/p-1", wide, 405, []string{"OperationOutcome"}, ""},
		{"no type", "GET", "clinic/patients", good, 404, []string{"OperationOutcome"}, ""},
		{"a scenario", "GET", "throttled/Patient/p-1", good, 429, []string{"throttled"}, ""},
		{"no link", "GET", "absent/Patient/p-1", good, 404, []string{"no such link"}, ""},
		{"a real server", "GET", "real/metadata", "", 404, []string{"not one of the sandbox's"}, ""},
		{"preflight", "OPTIONS", "clinic/Patient/p-1", "", 204, nil, ""},
	} {
		r := httptest.NewRequest(tt.method, resource.Path+tt.path, nil)
		r.Header.Set("Origin", "https://app.example")
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v %s", tt.name, w.Code, w.Header(), body)
		}
		for _, has := range tt.has {
			if !strings.Contains(body, has) {
				t.Errorf("%s: no %s in %s", tt.name, has, body)
			}
		}
		if tt.lacks != "" && strings.Contains(body, tt.lacks) || tt.has != nil && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %s", tt.name, body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (w.Code == 401) {
			t.Errorf("%s: challenge %q", tt.name, challenge)
		}
		if tt.method == http.MethodOptions && !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: %v", tt.name, w.Header())
		}
	}
	// With Entra's tokens: the keys of jwks and Entra's issuers count, and ours not any more.
	d.tokens, d.kind = smartauth.OfEntra, smartauth.AHDS
	v1 := "https://sts.windows.net/" + sandbox.TenantID + "/"
	entra := jwt.MapClaims{"iss": v1, "scope": nil, "patient": nil, "scp": "patient.all.rs", "fhirUser": "Patient/p-1"}
	with := func(name string, value any) jwt.MapClaims {
		changed := maps.Clone(entra)
		changed[name] = value
		return changed
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forger := &desk{key: stranger}
	for _, tt := range []struct {
		name, token string
		status      int
		has         string
	}{
		{"version 1", d.token(t, entra), 200, "Patient"},
		{"version 2", d.token(t, with("iss", "https://login.sandbox.test/"+sandbox.TenantID+"/v2.0")), 200, "Patient"},
		{"of another tenant", d.token(t, with("iss", "https://sts.windows.net/77777777-7777-4777-8777-777777777777/")), 401, "The issuer is invalid, " + v1 + " or "},
		{"of our own", d.token(t, with("iss", d.Issuer("clinic"))), 401, "The issuer is invalid"},
		{"for another resource", d.token(t, with("aud", "https://readonly.fhir.sandbox.test")), 401, "The audience is invalid"},
		{"with a key that is not published", forger.token(t, entra), 401, "The signature is invalid"},
		{"without fhirUser", d.token(t, with("fhirUser", nil)), 400, "fhirUser"},
	} {
		r := httptest.NewRequest(http.MethodGet, resource.Path+"clinic/Patient/p-1", nil)
		r.Header.Set("Authorization", "Bearer "+tt.token)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
	d.tokens, d.kind = smartauth.Own, smartauth.FHIRServer
	r := httptest.NewRequest(http.MethodGet, resource.Path+"clinic/Patient/p-1", nil)
	r.Header.Set("Authorization", "Bearer "+good)
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "smartUser") {
		t.Errorf("another kind of server: %d %s", w.Code, w.Body)
	}
}
