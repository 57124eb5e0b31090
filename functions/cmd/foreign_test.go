package cmd_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/credential"
	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// foreign is a third-party FHIR server, behind a proxy that speaks TLS and checks bearer tokens.
// Its name is that of an unknown kind of server.
type foreign struct {
	entra    *entratest.Authority
	audience string
	denied   bool // the token is valid, but its bearer has no right
	open     bool // tokens are not checked
	client   *http.Client

	mu   sync.Mutex
	seen []string // requests, with the status of their answers
}

const (
	foreignHost   = "fhir.example.org"
	foreignPath   = "/4_0_1"
	foreignLogin  = "login.example.org"
	foreignServer = "https://" + foreignHost + foreignPath
)

// TestForeignServer verifies a third-party FHIR server. `make foreign-fhir-test` starts one and
// runs this test with FOREIGN_FHIR_URL set. Otherwise the test is skipped.
func TestForeignServer(t *testing.T) {
	at := os.Getenv("FOREIGN_FHIR_URL")
	if at == "" {
		t.Log("nothing to do: .ci/foreign-fhir starts a server for this test and sets FOREIGN_FHIR_URL")
		return
	}
	backend, err := url.Parse(strings.TrimSuffix(at, foreignPath))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		base     string
		change   func(*foreign, *verification.Target)
		status   verification.Status
		access   verification.Access
		outcome  verification.Outcome
		check    string // the one that does not pass
		code     string
		requests []string
	}{
		{
			"behind the proxy", foreignServer, nil,
			verification.Pass, verification.Read, verification.OutcomeActive, "", "",
			[]string{"GET /4_0_1/metadata 200", "GET /4_0_1/Patient?_summary=count 401", "GET /4_0_1/Patient?_summary=count 200"},
		},
		{
			"without a proxy", foreignServer, func(f *foreign, _ *verification.Target) { f.open = true },
			verification.Fail, verification.NoAccess, verification.OutcomeBroken, verification.CheckAuthority, "server_open",
			[]string{"GET /4_0_1/metadata 200", "GET /4_0_1/Patient?_summary=count 200"},
		},
		{
			"a token for another audience", foreignServer, func(_ *foreign, t *verification.Target) { t.Audience = "https://another.example.org" },
			verification.Fail, verification.NoAccess, verification.OutcomeBroken, verification.CheckRead, "fhir_401_audience",
			[]string{"GET /4_0_1/metadata 200", "GET /4_0_1/Patient?_summary=count 401", "GET /4_0_1/Patient?_summary=count 401"},
		},
		{
			"no right yet", foreignServer, func(f *foreign, _ *verification.Target) { f.denied = true },
			verification.Fail, verification.NoAccess, verification.OutcomePendingAccess, verification.CheckRead, "fhir_403",
			[]string{"GET /4_0_1/metadata 200", "GET /4_0_1/Patient?_summary=count 401", "GET /4_0_1/Patient?_summary=count 403"},
		},
		{
			"not the base URL", "https://" + foreignHost, nil,
			verification.Fail, verification.NoAccess, verification.OutcomeBroken, verification.CheckMetadata, "metadata_404",
			[]string{"GET /metadata 404"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newForeign(t, backend)
			base, _, mistake := fhir.ParseBaseURL(tt.base, false)
			if mistake != nil {
				t.Fatalf("%+v", mistake)
			}
			asked := verification.Target{Server: base, ClientID: cloudtest.ClientID, Credential: credential.ClientSecret{Value: secret.New(cloudtest.Secret)}}
			if tt.change != nil {
				tt.change(f, &asked)
			}
			r := f.verifier().Verify(t.Context(), asked)
			show(t, r)
			failed, _ := r.Failed()
			if r.Status != tt.status || r.Access != tt.access || r.Outcome() != tt.outcome || failed.ID != tt.check || failed.Code != tt.code {
				t.Errorf("%s, access %s, outcome %s, %s %s", r.Status, r.Access, r.Outcome(), failed.ID, failed.Code)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if !slices.Equal(f.seen, tt.requests) {
				t.Errorf("the server saw %q", f.seen)
			}
		})
	}
}

func show(t *testing.T, r verification.Report) {
	t.Helper()
	t.Logf("status %s, access %s, tenant %s, audience %s, object id %s", r.Status, r.Access, r.TenantID, r.Audience, r.ObjectID)
	for _, c := range r.Checks {
		t.Logf("%-9s %-7s %-17s %4d ms  %s %s", c.ID, c.Status, c.Code, c.DurationMS, c.Message, c.Fix)
	}
}

func newForeign(t *testing.T, backend *url.URL) *foreign {
	t.Helper()
	f := &foreign{audience: foreignServer}
	f.entra = entratest.New(entratest.Tenant{ID: tenant, Name: "Clinic", Apps: []entratest.App{{
		ClientID: cloudtest.ClientID, ObjectID: objectID, Secrets: []entratest.Secret{{Value: cloudtest.Secret}},
	}}})
	f.entra.URL = "https://" + foreignLogin
	network, err := egresstest.New("example.org", map[string]http.Handler{foreignHost: f.proxy(backend), foreignLogin: f.entra}, nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(network.Certificate())
	f.client = egress.NewClient(egress.Options{Intercept: withoutNetwork(network.Intercept), RootCAs: roots})
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		_ = network.Close() // nothing to flush
	})
	return f
}

func (f *foreign) verifier() *verification.Verifier {
	return &verification.Verifier{
		Client: f.client, Tokens: &clientcred.Source{Client: f.client}, Now: time.Now,
		Authority: func(fhir.BaseURL) string { return f.entra.URL + "/" },
	}
}

// proxy passes requests with a valid token, and requests for what is public.
func (f *foreign) proxy(backend *url.URL) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(backend) },
		ModifyResponse: func(r *http.Response) error { f.saw(r.Request, r.StatusCode); return nil },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, why := f.checkToken(r)
		if status == http.StatusOK {
			forward.ServeHTTP(w, r)
			return
		}
		f.saw(r, status)
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization_uri="%s/%s", resource_id=%q%s`, f.entra.URL, tenant, f.audience, why))
		}
		w.WriteHeader(status)
	})
}

// checkToken checks the token's signature with the authority's keys, its expiry, audience and
// tenant.
func (f *foreign) checkToken(r *http.Request) (status int, why string) {
	token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := f.entra.Check(token)
	switch {
	case f.open, strings.HasSuffix(r.URL.Path, "/metadata"):
		return http.StatusOK, ""
	case !given:
		return http.StatusUnauthorized, ""
	case err != nil, claims.TenantID != tenant:
		return http.StatusUnauthorized, `, error="invalid_token", error_description="The token is not valid"`
	case !slices.Contains(claims.Audience, f.audience):
		return http.StatusUnauthorized, `, error="invalid_token", error_description="The audience is invalid"`
	case f.denied:
		return http.StatusForbidden, ""
	}
	return http.StatusOK, ""
}

func (f *foreign) saw(r *http.Request, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, fmt.Sprintf("%s %s %d", r.Method, r.URL.RequestURI(), status))
}
