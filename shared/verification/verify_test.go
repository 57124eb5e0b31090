package verification_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// recorder keeps everything that it receives.
type recorder struct {
	mu   sync.Mutex
	sent strings.Builder
	hits int
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // only what arrived counts
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hits++
	r.sent.WriteString(req.URL.String() + "\n")
	_ = req.Header.Write(&r.sent) // to memory
	r.sent.Write(body)
	w.WriteHeader(http.StatusNotFound)
}

func TestScenarios(t *testing.T) {
	const (
		pass, warn, fail = verification.Pass, verification.Warn, verification.Fail
		none, read, both = verification.NoAccess, verification.Read, verification.ReadWrite
		active           = verification.OutcomeActive
		pending          = verification.OutcomePendingAccess
		transient        = verification.OutcomeTransient
		broken           = verification.OutcomeBroken
	)
	tests := []struct {
		scenario string
		status   verification.Status
		check    string // the check that is not passed; empty: all are
		code     string
		access   verification.Access
		outcome  verification.Outcome
		setup    setup
	}{
		{"clinic", pass, "", "", both, active, nil},
		{"readonly", warn, "write", "write_403", read, active, nil},
		{"norole", fail, "read", "fhir_403_rbac", none, pending, nil},
		{"audience", pass, "", "", both, active, nil},
		{"anonymous", fail, "authority", "server_open", none, broken, nil},
		{"throttled", fail, "read", "fhir_429", none, transient, nil},
		{"down", fail, "metadata", "fhir_5xx", none, transient, nil},
		{"html", fail, "metadata", "metadata_html", none, broken, nil},
		{"metadata404", fail, "metadata", "metadata_404", none, broken, nil},
		{"slow", fail, "metadata", "fhir_timeout", none, transient, nil},
		{"redirect", fail, "metadata", "metadata_redirect", none, broken, nil},
		{"huge", fail, "metadata", "metadata_too_large", none, broken, nil},

		{"fhir-timeout", fail, "metadata", "fhir_timeout", none, transient, nil},
		{"fhir-429", fail, "read", "fhir_429", none, transient, nil},
		{"fhir-5xx", fail, "metadata", "fhir_5xx", none, transient, nil},
		{"metadata-404", fail, "metadata", "metadata_404", none, broken, nil},
		{"metadata-html", fail, "metadata", "metadata_html", none, broken, nil},
		{"metadata-redirect", fail, "metadata", "metadata_redirect", none, broken, nil},
		{"metadata-too-large", fail, "metadata", "metadata_too_large", none, broken, nil},
		{"server-open", fail, "authority", "server_open", none, broken, nil},
		{"fhir-401-audience", fail, "read", "fhir_401_audience", none, broken, nil},
		{"write-403", warn, "write", "write_403", read, active, nil},
		{"nowhere", fail, "address", "dns_not_found", none, broken, nil},
		{"dns-not-found", fail, "address", "dns_not_found", none, broken, nil},
		{"dns-failed", fail, "address", "dns_failed", none, transient, nil},
		{"address-blocked", fail, "address", "address_blocked", none, broken, nil},
		{"connect-refused", fail, "address", "connect_refused", none, transient, nil},
		{"connect-timeout", fail, "address", "connect_timeout", none, transient, nil},
		{"connection-broken", fail, "metadata", "connection_broken", none, transient, nil},
		{"tls-invalid", fail, "address", "tls_invalid", none, broken, nil},
		{"product-retired", warn, "address", "product_retired", both, active, nil},
		{"product-gone", fail, "metadata", "product_retired", none, broken, nil},
		{"product-nowhere", fail, "address", "product_retired", none, broken, nil},
		{"fhir-408", fail, "read", "fhir_408", none, transient, nil},
		{"fhir-503-oidc", fail, "read", "fhir_503_oidc", none, transient, nil},
		{"fhir-403-edge", fail, "metadata", "fhir_403_edge", none, broken, nil},
		{"fhir-406", warn, "metadata", "fhir_406", both, active, nil},
		{"fhir-415", warn, "write", "fhir_415", read, active, nil},
		{"metadata-not-capability", fail, "metadata", "metadata_not_capability", none, broken, nil},
		{"metadata-auth-required", warn, "metadata", "metadata_auth_required", both, active, nil},
		{"metadata-forbidden", warn, "metadata", "metadata_auth_required", both, active, nil},
		{"metadata-unexpected", fail, "metadata", "metadata_unexpected", none, broken, nil},
		{"fhir-version-unsupported", fail, "metadata", "fhir_version_unsupported", none, broken, nil},
		{"no-challenge", warn, "authority", "no_challenge", both, active, nil},
		{"tenant-unknown", fail, "authority", "tenant_unknown", none, broken, nil},
		{"tenant-smart-only", pass, "", "", both, active, nil},
		{"tenant-conflict", fail, "authority", "tenant_conflict", none, broken, nil},
		{"authority-mismatch", fail, "authority", "authority_mismatch", none, broken, nil},
		{"authority-other", warn, "authority", "authority_elsewhere", both, active, nil},
		{"authority-elsewhere", warn, "authority", "authority_elsewhere", both, active, nil},
		{"authority-mismatch", warn, "authority", "authority_elsewhere", both, active, func(_ *sandbox, t *verification.Target) { t.TenantID, t.Audience = tenant, t.Server.String() }},
		{"sign-in-unsupported", fail, "authority", "sign_in_unsupported", none, broken, nil},
		{"gateway-key-missing", fail, "authority", "gateway_key_missing", none, broken, nil},
		{"audience-guid", warn, "authority", "audience_guid", both, active, nil},
		{"tenant-unknown-domain", fail, "authority", "tenant_unknown", none, broken, nil},
		{"tenant-unknown-any", fail, "authority", "tenant_unknown", none, broken, nil},
		{"fhir-version-unsupported-none", fail, "metadata", "fhir_version_unsupported", none, broken, nil},
		{"fhir-401-audience-contradiction", fail, "read", "fhir_401_audience", none, broken, nil},
		{"fhir-401-issuer-version", fail, "read", "fhir_401_issuer", none, broken, nil},
		{"fhir-401-issuer-unclear", fail, "read", "fhir_401_issuer", none, broken, nil},
		{"fhir-401-lifetime", fail, "read", "fhir_401_lifetime", none, broken, nil},
		{"fhir-401-signature", fail, "read", "fhir_401_signature", none, broken, nil},
		{"fhir-401-scope", fail, "read", "fhir_401_scope", none, pending, nil},
		{"read-not-fhir", fail, "read", "read_not_fhir", none, broken, nil},
		{"read-redirect", fail, "read", "read_redirect", none, broken, nil},
		{"cloud-unsupported", fail, "authority", "cloud_unsupported", none, broken, nil},
		{"audience-foreign", fail, "authority", "audience_foreign", none, broken, nil},
		{"smart-proxy", pass, "", "", both, active, nil},
		{"fhir-401-issuer", fail, "read", "fhir_401_issuer", none, broken, nil},
		{"fhir-401-login", fail, "read", "fhir_401_login", none, broken, nil},
		{"fhir-401-backend", fail, "read", "fhir_401_backend", none, transient, nil},
		{"fhir-403", fail, "read", "fhir_403", none, pending, nil},
		{"fhir-403-rbac", fail, "read", "fhir_403_rbac", none, pending, nil},
		{"fhir-403-cmk", fail, "read", "fhir_403_cmk", none, broken, nil},
		{"smart-user-role", fail, "read", "smart_user_role", none, broken, nil},
		{"read-inconclusive", fail, "read", "read_inconclusive", none, pending, nil},
		{"read-odd", fail, "read", "read_inconclusive", none, pending, nil},
		{"write-400-405", warn, "write", "write_400_405", read, active, nil},
		{"write-created", warn, "write", "write_created", both, active, nil},
		{"write-undeletable", warn, "write", "write_created", both, active, nil},
		{"write-inconclusive", warn, "write", "write_inconclusive", read, active, nil},
		{"write-throttled", fail, "write", "fhir_429", read, transient, nil},
		{"generic", pass, "", "", read, active, nil},
		{"generic-open", fail, "authority", "server_open", none, broken, nil},
		{"generic-page", warn, "authority", "no_challenge", read, active, nil},

		{"hostile-bulky", fail, "metadata", "metadata_too_large", none, broken, nil},
		{"hostile-nested", fail, "metadata", "metadata_not_capability", none, broken, nil},
		{"hostile-string", fail, "metadata", "metadata_too_large", none, broken, nil},
		{"hostile-bomb", fail, "metadata", "metadata_too_large", none, broken, nil},
		{"hostile-bomb-read", fail, "read", "fhir_403_edge", none, broken, nil},
		{"hostile-drip", fail, "metadata", "fhir_timeout", none, transient, nil},
		{"hostile-loop", fail, "metadata", "metadata_redirect", none, broken, nil},
		{"hostile-media-type", fail, "metadata", "metadata_not_capability", none, broken, nil},
		{"hostile-challenge", warn, "authority", "no_challenge", both, active, nil},

		{"clinic", fail, "token", "aadsts_7000215", none, broken, presents("another-secret-value")},
		{"clinic", fail, "token", "aadsts_7000222", none, verification.OutcomeExpired, presentsExpired},
		{"clinic", fail, "token", "aadsts_700016", none, broken, func(_ *sandbox, t *verification.Target) { t.ClientID = tenant }},
		{"clinic", fail, "token", "aadsts_90055", none, transient, func(s *sandbox, _ *verification.Target) { s.entra.Before = s.entra.Throttle(7) }},
		{"clinic", fail, "token", "entra_unreachable", none, transient, func(s *sandbox, _ *verification.Target) { s.entra.Before = entratest.WebPage(503) }},
		{"clinic", fail, "token", "entra_unreachable", none, transient, func(s *sandbox, _ *verification.Target) { s.entra.Before = entratest.Hang() }},
		{"clinic", fail, "token", "entra_no_token", none, transient, issues("")},
		{"entra-no-token", fail, "token", "entra_no_token", none, transient, nil},
		{"entra-unreachable", fail, "token", "entra_unreachable", none, transient, nil},
		{"entra-interaction-required", fail, "token", "entra_interaction_required", none, broken, nil},
		{"entra-unsupported-grant-type", fail, "token", "entra_unsupported_grant_type", none, broken, nil},
		{"token-aud", fail, "claims", "token_aud", none, broken, nil},
		{"token-tid", fail, "claims", "token_tid", none, broken, nil},
		{"token-appid", fail, "claims", "token_appid", none, broken, nil},
		{"token-short", fail, "claims", "token_short", none, broken, nil},
		{"token-opaque", warn, "claims", "token_opaque", both, active, nil},
		{"clinic", fail, "claims", "token_aud", none, broken, claims("aud", "https://other.example")},
		{"clinic", fail, "claims", "token_aud", none, broken, claims("aud", "https://clinic.fhir.sandbox.test/")},
		{"clinic", fail, "claims", "token_tid", none, broken, claims("tid", client)},
		{"clinic", fail, "claims", "token_appid", none, broken, claims("appid", tenant)},
		{"clinic", fail, "claims", "token_short", none, broken, claims("exp", 946684800+240)},
		{"generic", warn, "claims", "token_opaque", read, active, issues("opaque")},
		{"audience", fail, "read", "fhir_401_audience", none, broken, func(_ *sandbox, t *verification.Target) { t.Audience = t.Server.String() }},
		{"tenant-unknown", pass, "", "", both, active, func(_ *sandbox, t *verification.Target) { t.TenantID = tenant }},
		{"clinic", fail, "authority", "tenant_conflict", none, broken, func(_ *sandbox, t *verification.Target) { t.TenantID = client }},
		{"tenant-conflict", fail, "authority", "tenant_conflict", none, broken, func(_ *sandbox, t *verification.Target) { t.TenantID = tenant }},
		{"audience-foreign", fail, "read", "fhir_401_audience", none, broken, func(s *sandbox, t *verification.Target) {
			t.Audience = "https://api.fhir.sandbox.test"
		}},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		covered[tt.code] = true
		t.Run(tt.scenario+"/"+tt.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSandbox(t)
				asked := target(t, tt.scenario)
				if tt.setup != nil {
					tt.setup(s, &asked)
				}
				r := s.Verify(t.Context(), asked)
				wellFormed(t, r, tt.check)
				if r.Status != tt.status || r.Access != tt.access || r.Outcome() != tt.outcome {
					t.Errorf("got %s, access %s, outcome %s; want %s, %s, %s", r.Status, r.Access, r.Outcome(), tt.status, tt.access, tt.outcome)
				}
				if tt.check == "" {
					return
				}
				if c := check(t, r, tt.check); c.Code != tt.code {
					t.Errorf("%s has code %s, want %s", tt.check, c.Code, tt.code)
				}
			})
		})
	}
	for _, f := range verification.Failures() {
		if !covered[f.Code] && !strings.HasPrefix(f.Code, "aadsts_") {
			t.Errorf("%s of the catalogue has no test", f.Code)
		}
		if f.Sign == "" || f.Message == "" || f.Fix == "" || f.Status != fail && f.Status != warn || f.Outcome == "" {
			t.Errorf("the row of %s is not complete: %+v", f.Code, f)
		}
	}
}

// The sandbox has a server for every row of the catalogue, named after the code.
func TestSandboxIsComplete(t *testing.T) {
	server := newSandbox(t).fhir
	hosts := server.Hosts()
	for host := range server.Dials() {
		hosts = append(hosts, host)
	}
	for _, f := range verification.Failures() {
		for _, code := range append(f.Also, f.Name()) {
			code = strings.Replace(code, "<number>", strconv.Itoa(entratest.UnknownNumber), 1)
			if host := strings.NewReplacer("_", "-", "/", "-").Replace(code) + ".fhir.sandbox.test"; !slices.Contains(hosts, host) {
				t.Errorf("the sandbox has no server that shows %s", code)
			}
		}
	}
}

// Every number that Entra may refuse with, each at the server named after it.
func TestRefusals(t *testing.T) {
	for _, f := range verification.Failures() {
		for _, code := range append(f.Also, f.Code) {
			code = strings.Replace(code, "<number>", strconv.Itoa(entratest.UnknownNumber), 1)
			if !strings.HasPrefix(code, "aadsts_") {
				continue
			}
			t.Run(code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSandbox(t)
					r := s.Verify(t.Context(), target(t, strings.ReplaceAll(code, "_", "-")))
					wellFormed(t, r, verification.CheckToken)
					c := check(t, r, verification.CheckToken)
					if c.Code != code || r.Outcome() != f.Outcome || c.Evidence.TraceID == "" || c.Evidence.CorrelationID == "" || c.Evidence.HTTPStatus < 400 {
						t.Errorf("%+v %+v, outcome %s", c, c.Evidence, r.Outcome())
					}
				})
			})
		}
	}
}

// setup changes the sandbox or the target.
type setup func(*sandbox, *verification.Target)

func presents(value string) setup {
	return func(_ *sandbox, t *verification.Target) {
		t.Credential = credential.ClientSecret{Value: secret.New(value)}
	}
}

// presentsExpired needs a fixed clock: the sandbox's secret expired in 2026, and a synctest
// bubble starts in 2000.
func presentsExpired(s *sandbox, t *verification.Target) {
	t.Credential = credential.ClientSecret{Value: secret.New(expired)}
	s.entra.Now = func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
}

// issues makes Entra answer with the given token.
func issues(token string) setup {
	return func(s *sandbox, _ *verification.Target) {
		s.Tokens = source(func() entra.Token { return entra.Token{Access: secret.New(token)} })
		if token != "" {
			s.fhir.Validate = func(string) (entra.Claims, error) {
				return entra.Claims{Audience: []string{"https://generic.fhir.sandbox.test"}, TenantID: tenant}, nil
			}
		}
	}
}

// claims makes Entra issue the usual token with one changed claim.
func claims(name string, value any) setup {
	return func(s *sandbox, t *verification.Target) {
		all := map[string]any{"aud": t.Server.String(), "tid": tenant, "appid": client, "oid": objectID, "ver": "1.0", "exp": 946684800 + 3600}
		all[name] = value
		token := s.entra.Sign(nil, all)
		s.Tokens = source(func() entra.Token { return entra.Token{Access: secret.New(token)} })
	}
}

type source func() entra.Token

func (s source) Token(context.Context, entra.Credentials, string) (entra.Token, error) {
	return s(), nil
}

// wellFormed checks what every report must satisfy. notPassed is the id of the one check that is
// not passed, if any.
func wellFormed(t *testing.T, r verification.Report, notPassed string) {
	t.Helper()
	order := []string{"address", "metadata", "authority", "token", "claims", "read", "write"}
	if len(r.Checks) != len(order) {
		t.Fatalf("%d checks", len(r.Checks))
	}
	failed := false
	for i, c := range r.Checks {
		t.Logf("%-9s %-7s %-24s %s | %s", c.ID, c.Status, c.Code, c.Message, c.Fix)
		switch {
		case c.ID != order[i] || c.Title == "" || c.Message == "":
			t.Errorf("check %d is %+v", i, c)
		case strings.ContainsAny(c.Message+c.Fix, "{}"):
			t.Errorf("%s has a word in braces left: %s %s", c.ID, c.Message, c.Fix)
		case failed && (c.Status != verification.Skipped || c.Code != "skipped"):
			t.Errorf("%s ran after a failure", c.ID)
		case c.Status == verification.Pass && (c.Code != "ok" || c.Fix != ""):
			t.Errorf("%s passed with code %s and fix %q", c.ID, c.Code, c.Fix)
		case (c.Status == verification.Fail || c.Status == verification.Warn) && (c.Fix == "" || c.ID != notPassed):
			t.Errorf("%s: %s, %s", c.ID, c.Code, c.Message)
		}
		failed = failed || c.Status == verification.Fail
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{good, expired, "eyJ", "<script>", "alert(1)"} {
		if strings.Contains(string(text), canary) {
			t.Errorf("the report has %q in it", canary)
		}
	}
}
