package verification_test

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestReportGolden(t *testing.T) {
	for _, scenario := range []string{"clinic", "norole", "metadata404"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSandbox(t)
			text, err := json.MarshalIndent(s.Verify(t.Context(), target(t, scenario)), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			// Only ids are random.
			text = regexp.MustCompile(`"correlationId": "[0-9a-f]{32}"`).ReplaceAll(text, []byte(`"correlationId": "…"`))
			text = regexp.MustCompile(`Basic/[0-9a-f-]{36}`).ReplaceAll(text, []byte("Basic/…"))
			golden := filepath.Join("testdata", scenario+".json")
			if *update {
				if err := os.WriteFile(golden, append(text, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != string(text)+"\n" {
				t.Errorf("%s differs from %s; -update rewrites it:\n%s", scenario, golden, text)
			}
		})
	}
}

// The report must contain word for word what an administrator needs to continue.
func TestRoleFix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		r := s.Verify(t.Context(), target(t, "fhir-403-rbac"))
		c := check(t, r, verification.CheckRead)
		want := "az role assignment create --assignee-object-id " + objectID + ` --assignee-principal-type ServicePrincipal --role "FHIR Data Writer" --scope ` +
			`"$(az resource list --resource-type Microsoft.HealthcareApis/workspaces/fhirservices --query "[?name=='fhir/403-rbac' || name=='fhir-403/rbac'].id" -o tsv)"`
		if c.Command != want || strings.Contains(c.Fix, "az ") || !strings.HasSuffix(c.Advice(), c.Fix+" Command: "+want) {
			t.Errorf("the command is\n%s\nwant\n%s\nand the fix is\n%s", c.Command, want, c.Fix)
		}
		if r.ObjectID != objectID || r.TenantID != tenant || r.Audience != "https://fhir-403-rbac.fhir.sandbox.test" {
			t.Errorf("found %q %q %q", r.ObjectID, r.TenantID, r.Audience)
		}
	})
}

func TestRoleSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		for attempt := range 5 {
			r := s.Verify(t.Context(), target(t, "norole"))
			want := verification.OutcomePendingAccess
			if attempt >= 3 {
				want = verification.OutcomeActive
			}
			if r.Outcome() != want {
				t.Errorf("attempt %d: %s, want %s", attempt+1, r.Outcome(), want)
			}
		}
	})
}

func TestAudienceOfServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		if r := s.Verify(t.Context(), target(t, "audience")); r.Audience != "https://api.fhir.sandbox.test" {
			t.Errorf("the audience is %q", r.Audience)
		}
		given := target(t, "audience")
		given.Audience = given.Server.String()
		c := check(t, s.Verify(t.Context(), given), verification.CheckRead)
		if !strings.Contains(c.Fix, "https://api.fhir.sandbox.test") {
			t.Errorf("the fix does not name the audience: %s", c.Fix)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		if r := s.Verify(t.Context(), target(t, "throttled")); r.RetryAfter != 2*time.Second {
			t.Errorf("the FHIR server's wait is %v", r.RetryAfter)
		}
		s.entra.Before = s.entra.Throttle(7)
		if r := s.Verify(t.Context(), target(t, "clinic")); r.RetryAfter != 7*time.Second {
			t.Errorf("Entra's wait is %v", r.RetryAfter)
		}
	})
}

// upstream counts requests and can slow them down.
type upstream struct {
	http.RoundTripper
	latency time.Duration
	count   atomic.Int64
	mu      sync.Mutex
	seen    []*http.Request
}

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.count.Add(1)
	u.mu.Lock()
	u.seen = append(u.seen, r)
	u.mu.Unlock()
	select {
	case <-time.After(u.latency):
	case <-r.Context().Done():
	}
	return u.RoundTripper.RoundTrip(r)
}

func watch(s *sandbox, latency time.Duration) *upstream {
	u := &upstream{RoundTripper: s.Client.Transport, latency: latency}
	s.Client.Transport = u
	return u
}

// The real token source makes one more request than the test's: openid-configuration.
const moreAtTheAuthority = 1

func TestRequestsAndLatency(t *testing.T) {
	for _, host := range []string{"clinic", "readonly", "audience", "anonymous", "tenant-unknown", "tenant-smart-only", "write-created", "write-throttled", "no-challenge", "metadata-auth-required", "generic", "authority-other"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSandbox(t)
			u := watch(s, 20*time.Millisecond)
			start := time.Now()
			r := s.Verify(t.Context(), target(t, host))
			limit := int64(7)
			if c := check(t, r, verification.CheckWrite); c.Code == "write_created" {
				limit++ // the deletion
			}
			if n := u.count.Load() + moreAtTheAuthority; n > limit {
				t.Errorf("%s: %d requests", host, n)
			}
			if spent := time.Since(start) + moreAtTheAuthority*u.latency; host == "clinic" && spent > 300*time.Millisecond {
				t.Errorf("%s took %v", host, spent)
			}
		})
	}
}

// Probes neither read nor write a patient's data, and carry the mark for the audit log.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		u := watch(s, 0)
		s.Verify(t.Context(), target(t, "clinic"))
		s.Verify(t.Context(), target(t, "generic"))
		var got []string
		for _, r := range u.seen {
			if strings.HasPrefix(r.URL.Host, "login.") {
				continue
			}
			if r.Header.Get("X-Ms-Azurefhir-Audit-Link") != "verify" {
				t.Errorf("%s is not marked", r.URL)
			}
			line := r.Method + " " + r.URL.RequestURI()
			if r.Header.Get("Authorization") != "" {
				line += " token"
			}
			if r.Header.Get("If-Match") != "" {
				line += " " + r.Header.Get("If-Match")
			}
			got = append(got, regexp.MustCompile(`[0-9a-f-]{36}`).ReplaceAllString(line, "{id}"))
		}
		want := []string{
			"GET /metadata", "GET /Basic/{id}", "GET /Basic/{id} token", `PUT /Basic/{id} token W/"1"`,
			"GET /metadata", "GET /Patient?_summary=count", "GET /Patient?_summary=count token",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Whatever a server says, a secret goes only to the configured authority, and a token only to the
// server's origin.
func TestCanaries(t *testing.T) {
	for _, scenario := range []string{"authority-mismatch", "authority-other", "redirect", "hostile-loop", "hostile-challenge", "audience-foreign", "clinic", "generic"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSandbox(t)
			u := watch(s, 0)
			asked := target(t, scenario)
			s.Verify(t.Context(), asked)
			asked.TenantID, asked.Audience = tenant, asked.Server.String()
			s.Verify(t.Context(), asked)
			if s.evil.hits != 0 {
				t.Errorf("%s: the authority that the server names was asked %d times: %s", scenario, s.evil.hits, s.evil.sent.String())
			}
			for _, r := range u.seen {
				body := sent(t, r)
				if host := r.URL.Host; strings.Contains(body, good) && host != "login.sandbox.test" {
					t.Errorf("%s: the secret went to %s", scenario, host)
				}
				if host := r.URL.Host; r.Header.Get("Authorization") != "" && host != asked.Server.Host() {
					t.Errorf("%s: the token went to %s", scenario, host)
				}
			}
		})
	}
}

func sent(t *testing.T, r *http.Request) string {
	t.Helper()
	var all strings.Builder
	_ = r.Header.Write(&all) // to memory
	all.WriteString(r.URL.String())
	if r.GetBody == nil {
		return all.String()
	}
	body, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, _ := body.Read(buffer) // the end of the body is an error, too
	return all.String() + string(buffer[:n])
}

// Any step may hang. The verification ends within its budget, with a transient outcome.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		watch(s, 9*time.Second)
		start := time.Now()
		r := s.Verify(context.Background(), target(t, "clinic"))
		if spent := time.Since(start); spent > verification.Budget {
			t.Errorf("took %v", spent)
		}
		if r.Outcome() != verification.OutcomeTransient {
			t.Errorf("the outcome is %s", r.Outcome())
		}
	})
}

func TestHangingEntra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		s.Tokens = hanging{}
		start := time.Now()
		r := s.Verify(context.Background(), target(t, "clinic"))
		if spent := time.Since(start); spent > verification.Budget || r.Outcome() != verification.OutcomeTransient {
			t.Errorf("took %v: %s", spent, r.Outcome())
		}
	})
}

type hanging struct{}

func (hanging) Token(ctx context.Context, _ entra.Credentials, _ string) (entra.Token, error) {
	<-ctx.Done()
	return entra.Token{}, entra.NotReached(ctx, ctx.Err())
}

func TestTokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		var asked entra.Credentials
		var scope string
		s.Tokens = observing(func(c entra.Credentials, sc string) { asked, scope = c, sc })
		s.Verify(t.Context(), target(t, "clinic"))
		want := entra.Credentials{Authority: login, TenantID: tenant, ClientID: client, Credential: asked.Credential}
		if asked != want || !asked.Credential.Text().Equal(secret.New(good)) || scope != "https://clinic.fhir.sandbox.test/.default" {
			t.Errorf("asked with %+v for %q", asked, scope)
		}
	})
}

type observing func(entra.Credentials, string)

func (o observing) Token(_ context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	o(c, scope)
	return entra.Token{}, entra.NotUsable(500, nil)
}

// If an API requests v2 tokens, the audience of its tokens is its client id.
func TestClientIDAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		asked := target(t, "generic")
		token := s.entra.Sign(nil, map[string]any{
			"aud": "66666666-6666-4666-8666-666666666666", "tid": tenant, "azp": client, "oid": objectID, "ver": "2.0", "exp": time.Now().Add(time.Hour).Unix(),
		})
		s.Tokens = source(func() entra.Token { return entra.Token{Access: secret.New(token)} })
		if c := check(t, s.Verify(t.Context(), asked), verification.CheckClaims); c.Status != verification.Pass {
			t.Errorf("%s: %s", c.Code, c.Message)
		}
	})
}

// Without Kind, a sandbox server counts as an unknown FHIR server, and is not written to.
func TestKindByHostName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t)
		s.Kind = nil
		r := s.Verify(t.Context(), target(t, "clinic"))
		if c := check(t, r, verification.CheckWrite); c.Code != "write_not_probed" || r.Access != verification.Read {
			t.Errorf("%s, access %s", c.Code, r.Access)
		}
	})
}
