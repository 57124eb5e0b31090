package link_test

import (
	"context"
	"log/slog"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

const (
	orgA        = "11111111-1111-4111-8111-111111111111"
	orgB        = "33333333-3333-4333-8333-333333333333"
	client      = "22222222-2222-4222-8222-222222222222"
	otherClient = "44444444-4444-4444-8444-444444444444"
	slug        = "good-health-clinic"
	server      = "https://ws-clinic.fhir.azurehealthcareapis.com"
)

var farOff = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

var quiet = slog.New(slog.DiscardHandler)

func testAuthority(fhir.BaseURL) string { return "https://login.example.test/" }

// fakeVerifier always answers with one report. The real verifier has its tests in its package.
type fakeVerifier func() verification.Report

func (f fakeVerifier) Verify(context.Context, verification.Target) verification.Report { return f() }

var (
	healthy = verification.Report{
		Status: verification.Pass, Access: verification.ReadWrite, TenantID: orgA, Audience: server,
		Checks: []verification.Check{{ID: verification.CheckToken, Status: verification.Pass, Code: "ok"}},
	}
	unreachable = failed(verification.CheckMetadata, verification.OutcomeTransient)
	noRole      = failed(verification.CheckRead, verification.OutcomePendingAccess)
	wrong       = failed(verification.CheckToken, verification.OutcomeBroken)
	expired     = failed(verification.CheckToken, verification.OutcomeExpired)
)

func failed(check string, outcome verification.Outcome) verification.Report {
	return verification.Report{
		Status: verification.Fail, TenantID: orgA, Audience: server,
		Checks: []verification.Check{{ID: check, Status: verification.Fail, Code: "x", Message: "It failed.", Fix: "Mend it.", Outcome: outcome}},
	}
}

func registration(clientSecret string) intake.Registration {
	return intake.Registration{
		Slug: slug, Description: "Good Health Clinic", FHIRServerURL: server, ClientID: client,
		ClientSecret: secret.New(clientSecret), SecretExpiresOn: "2027-11-01",
	}
}

func register(s *link.Service, clientSecret string) error {
	_, err := s.Register(context.Background(), orgA, registration(clientSecret))
	return err
}

func patch(s *link.Service, p intake.Patch) error {
	_, err := s.Patch(context.Background(), orgA, slug, "*", p)
	return err
}

func setSecret(s *link.Service, clientSecret string) error {
	_, err := s.SetSecret(context.Background(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New(clientSecret), SecretExpiresOn: "2027-10-01"})
	return err
}

func ptr[T any](v T) *T { return &v }

// asks is an authority that counts what it is asked.
type asks struct {
	calls  int64
	answer func(entra.Credentials) error // nil: a token
}

func (a *asks) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	a.calls++
	return tokenFunc(func(c entra.Credentials) error {
		if a.answer == nil {
			return nil
		}
		return a.answer(c)
	}).Token(ctx, c, scope)
}

func refuse(number int) func(entra.Credentials) error {
	return func(entra.Credentials) error {
		return &entra.Refusal{HTTPStatus: 401, OAuthError: "invalid_client", Number: number}
	}
}
