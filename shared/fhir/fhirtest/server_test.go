package fhirtest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/fhir/fhirtest"
)

const tenant = "11111111-1111-4111-8111-111111111111"

// newServer accepts "good" as a token for the server of the scenario.
func newServer(scenario string) *fhirtest.Server {
	return &fhirtest.Server{
		Domain: "fhir.sandbox.test", Authority: "https://login.sandbox.test/", TenantID: tenant,
		Validate: func(token string) (entra.Claims, error) {
			claims := entra.Claims{Audience: []string{"https://" + scenario + ".fhir.sandbox.test"}, TenantID: tenant}
			switch token {
			case "good":
				return claims, nil
			case "audience":
				claims.Audience = []string{"https://x"}
				return claims, nil
			case "tenant":
				claims.TenantID = "x"
				return claims, nil
			}
			return entra.Claims{}, errors.New("bad token")
		},
	}
}

func TestWire(t *testing.T) {
	const challenge = `Bearer authorization_uri="https://login.sandbox.test/11111111-1111-4111-8111-111111111111", resource_id="https://clinic.fhir.sandbox.test", realm="https://clinic.fhir.sandbox.test"`
	tests := []struct {
		scenario, method, path, token string
		status                        int
		code                          string // the issue's code, or the resource's type
		challenge                     string
	}{
		{"clinic", "GET", "/metadata", "", 200, "CapabilityStatement", ""},
		{"clinic", "GET", "/Basic/x", "", 401, "login", challenge},
		{"clinic", "GET", "/Basic/x", "bad", 401, "login", challenge + `, error="invalid_token", error_description="The signature or the lifetime is invalid"`},
		{"clinic", "GET", "/Basic/x", "audience", 401, "login", challenge + `, error="invalid_token", error_description="The audience 'https://x' is invalid"`},
		{"clinic", "GET", "/Basic/x", "tenant", 401, "login", challenge + `, error="invalid_token", error_description="The issuer '' is invalid"`},
		{"clinic", "GET", "/Basic/x", "good", 404, "not-found", ""},
		{"clinic", "PUT", "/Basic/x", "good", 404, "not-found", ""},
		{"clinic", "GET", "/patient", "good", 404, "not-found", ""},
		{"clinic", "GET", "/Patient?_count=1", "good", 200, "Bundle", ""},
		{"readonly", "GET", "/Basic/x", "good", 404, "not-found", ""},
		{"readonly", "PUT", "/Basic/x", "good", 403, "forbidden", ""},
		{"anonymous", "GET", "/Basic/x", "", 404, "not-found", ""},
		{"throttled", "GET", "/metadata", "", 200, "CapabilityStatement", ""},
		{"throttled", "GET", "/Basic/x", "good", 429, "throttled", ""},
		{"metadata404", "GET", "/metadata", "", 404, "not-found", ""},
		{"nowhere", "GET", "/metadata", "", 404, "not-found", ""},
	}
	for _, tt := range tests {
		w := ask(newServer(tt.scenario), tt.scenario, tt.method, tt.path, tt.token)
		var body struct {
			ResourceType string
			Issue        []struct{ Code string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		code := body.ResourceType
		if len(body.Issue) > 0 {
			code = body.Issue[0].Code
		}
		if w.Code != tt.status || code != tt.code || w.Header().Get("X-Correlation-Id") == "" {
			t.Errorf("%+v: %d %s", tt, w.Code, code)
		}
		if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge && tt.scenario == "clinic" {
			t.Errorf("%+v: challenge %s", tt, got)
		}
	}
}

func ask(s *fhirtest.Server, scenario, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://"+scenario+".fhir.sandbox.test"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPut {
		r.Header.Set("If-Match", `W/"1"`)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestCounters(t *testing.T) {
	s := newServer("norole")
	var got []int
	for range 4 {
		got = append(got, ask(s, "norole", "GET", "/Basic/x", "good").Code)
	}
	got = append(got, ask(s, "norole", "PUT", "/Basic/x", "good").Code)
	ask(s, "norole", "GET", "/metadata", "")
	c := s.Counters("norole")
	if c.Requests != 6 || c.Refused != 3 || c.Paths["GET /Basic/{id}"] != 4 || c.Paths["GET /metadata"] != 1 || s.Counters("clinic").Requests != 0 {
		t.Errorf("%+v", c)
	}
	if want := []int{403, 403, 403, 404, 404}; len(got) != len(want) || got[0] != 403 || got[2] != 403 || got[3] != 404 || got[4] != 404 {
		t.Errorf("answers %v, want %v", got, want)
	}
}

// A listed name has nothing wrong; any other name is not a server.
func TestHealthy(t *testing.T) {
	s := newServer("aadsts-1")
	s.Healthy = []string{"aadsts-1", "readonly"}
	if w := ask(s, "aadsts-1", "GET", "/Basic/x", "good"); w.Code != 404 || ask(s, "aadsts-1", "GET", "/metadata", "").Code != 200 || ask(s, "aadsts-2", "GET", "/metadata", "").Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	hosts := s.Hosts()
	slices.Sort(hosts)
	if !slices.Contains(hosts, "aadsts-1.fhir.sandbox.test") || len(hosts) != len(slices.Compact(hosts)) {
		t.Errorf("%v", hosts)
	}
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if w := ask(newServer("slow"), "slow", "GET", "/metadata", ""); w.Code != 200 || time.Since(start) != 30*time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(start))
		}
	})
}

func TestKind(t *testing.T) {
	s := newServer("clinic")
	for raw, want := range map[string]fhir.Kind{
		"https://clinic.fhir.sandbox.test":            {Product: fhir.HealthDataServices},
		"https://product-retired.fhir.sandbox.test":   {Product: fhir.AzureAPIForFHIR},
		"https://generic.fhir.sandbox.test":           {Product: fhir.Generic},
		"https://clinic.fhir.sandbox.test.example":    {Product: fhir.Generic},
		"https://ws-x.fhir.azurehealthcareapis.com":   {Product: fhir.HealthDataServices, Cloud: fhir.PublicCloud},
		"https://notfhir.sandbox.test":                {Product: fhir.Generic},
		"https://cloud-unsupported.fhir.sandbox.test": {Product: fhir.HealthDataServices, Cloud: fhir.USGovernment},
	} {
		base, _, mistake := fhir.ParseBaseURL(raw, false)
		if mistake != nil || s.Kind(base) != want {
			t.Errorf("%s: %+v %+v", raw, s.Kind(base), mistake)
		}
	}
	if hosts := strings.Join(s.Hosts(), " "); !strings.Contains(hosts, "clinic.fhir.sandbox.test") || len(s.Dials()) == 0 {
		t.Error(hosts)
	}
}

// Usual answers what nothing is wrong with, and the scenarios all else.
func TestUsual(t *testing.T) {
	s := newServer("clinic")
	s.Healthy = []string{"aadsts-1"}
	s.Usual = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }
	for _, tt := range []struct {
		scenario, method, path, token string
		want                          int
	}{
		{"clinic", "GET", "/metadata", "", 202},
		{"clinic", "GET", "/.well-known/smart-configuration", "", 202},
		{"clinic", "GET", "/Patient/1", "", 202},
		{"clinic", "GET", "/Patient/1", "bad", 202},
		{"clinic", "PUT", "/Patient/1", "bad", 202},
		{"aadsts-1", "GET", "/Patient/1", "bad", 202},
		{"clinic", "GET", "/", "bad", 404},
		{"readonly", "GET", "/Patient/1", "bad", 202},
		{"readonly", "PUT", "/Patient/1", "bad", 403},
		{"norole", "GET", "/Patient/1", "bad", 403},
		{"norole", "GET", "/Patient/1", "bad", 403},
		{"norole", "PUT", "/Patient/1", "bad", 403},
		{"norole", "GET", "/Patient/1", "bad", 403},
		{"norole", "GET", "/Patient/1", "bad", 202},
		{"norole", "PUT", "/Patient/1", "bad", 202},
		{"throttled", "GET", "/Patient/1", "bad", 429},
		{"down", "GET", "/metadata", "", 503},
		{"metadata404", "GET", "/metadata", "", 404},
		{"nowhere", "GET", "/metadata", "", 404},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = tt.scenario + ".fhir.sandbox.test"
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %s %s gave %d, want %d", tt.scenario, tt.method, tt.path, w.Code, tt.want)
		}
	}
}
