package tokens_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/verification"
)

// source is a fake authority: it counts, takes its time, and answers what it is told to.
type source struct {
	calls  atomic.Int64
	takes  time.Duration
	life   time.Duration
	answer func(entra.Credentials) error
}

func (s *source) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	n := s.calls.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return entra.Token{}, &entra.Unreachable{Reason: "timed out", Cause: ctx.Err()}
	}
	if s.answer != nil {
		if err := s.answer(c); err != nil {
			return entra.Token{}, err
		}
	}
	return entra.Token{Access: secret.New(c.Credential.Text().Reveal() + " " + scope + " " + string(rune('0'+n))), ExpiresOn: time.Now().Add(s.life)}, nil
}

func refuse(number int) func(entra.Credentials) error {
	return func(entra.Credentials) error {
		return &entra.Refusal{HTTPStatus: 401, OAuthError: "invalid_client", Number: number, Sentence: sentences[number]}
	}
}

// sentences are what Entra says with numbers that have several meanings.
var sentences = map[int]string{50012: "Invalid client secret is provided."}

// instance is a function instance: the links, and tokens for them.
type instance struct {
	*link.Service
	tokens *tokens.Service
}

func (i *instance) Token(ctx context.Context, organization string, operator bool, slug string) (tokens.Grant, error) {
	return i.tokens.Token(ctx, organization, operator, slug)
}

// stage is an instance with one registered link, for tests inside a synctest bubble.
type stage struct {
	*instance
	links  *linktest.Stores
	vault  *secrettest.Store
	source *source
	reads  atomic.Int64 // of the vault
	rows   atomic.Int64 // reads of the table
	report verification.Report
}

func newStage(t *testing.T) *stage {
	t.Helper()
	st := &stage{links: linktest.New(), vault: secrettest.New(), source: &source{takes: 80 * time.Millisecond, life: time.Hour}, report: healthy}
	st.instance = st.another()
	r := registration("the-secret")
	r.SecretExpiresOn = ""
	if _, err := st.Register(t.Context(), orgA, r); err != nil {
		t.Fatal(err)
	}
	st.links.Fault = func(op string, _ link.Slug, before bool) error {
		if op == "Get" && before {
			st.rows.Add(1)
		}
		return nil
	}
	st.vault.Fault = func(op, _ string, before bool) error {
		if op == "Get" && before {
			st.reads.Add(1)
		}
		return nil
	}
	return st
}

// another is a further instance over the same table and vault.
func (st *stage) another() *instance { return st.make(st.source, quiet) }

func (st *stage) make(source entra.TokenSource, log *slog.Logger) *instance {
	links := link.New(link.Deps{
		Stores: st.links, Secrets: st.vault, Tokens: source, Authority: testAuthority, Log: log,
		Verifier: fakeVerifier(func() verification.Report { return st.report }),
	})
	return &instance{links, tokens.New(tokens.Deps{
		Links: links, Rows: st.links, Secrets: st.vault, Source: source, Authority: testAuthority, Log: log,
	})}
}

func (st *stage) token(ctx context.Context) (tokens.Grant, error) {
	return st.Token(ctx, orgA, false, slug)
}

func (st *stage) status(t *testing.T) condition.Status {
	t.Helper()
	l, err := st.Get(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	return l.Status(time.Now())
}

const (
	orgA   = "11111111-1111-4111-8111-111111111111"
	orgB   = "33333333-3333-4333-8333-333333333333"
	client = "22222222-2222-4222-8222-222222222222"
	slug   = "good-health-clinic"
	server = "https://ws-clinic.fhir.azurehealthcareapis.com"
)

var quiet = slog.New(slog.DiscardHandler)

func testAuthority(fhir.BaseURL) string { return "https://login.example.test/" }

// fakeVerifier always answers with one report. The real verifier has its tests in its package.
type fakeVerifier func() verification.Report

func (f fakeVerifier) Verify(context.Context, verification.Target) verification.Report { return f() }

var healthy = verification.Report{
	Status: verification.Pass, Access: verification.ReadWrite, TenantID: orgA, Audience: server,
	Checks: []verification.Check{{ID: verification.CheckToken, Status: verification.Pass, Code: "ok"}},
}

func registration(clientSecret string) intake.Registration {
	return intake.Registration{
		Slug: slug, Description: "Good Health Clinic", FHIRServerURL: server, ClientID: client,
		ClientSecret: secret.New(clientSecret), SecretExpiresOn: "2027-11-01",
	}
}

func wantCode(t *testing.T, err error, want problem.Code) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	return p
}
