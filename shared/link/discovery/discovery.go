package discovery

import (
	"context"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/verification"
)

// Service asks servers. All fields but the last are required.
type Service struct {
	Verifier  Verifier
	AnyTarget bool             // addresses are judged when dialled (FHIRLINK_EGRESS_ALLOW is set)
	Now       func() time.Time // nil: time.Now
}

// Verifier asks a server what it says of itself; *verification.Verifier implements it.
type Verifier interface {
	Discover(ctx context.Context, server fhir.BaseURL) verification.Discovery
}

// Discovery is what the URL of a FHIR server tells.
type Discovery struct {
	Server fhir.BaseURL
	Notes  []string // what was changed in the URL, in words
	verification.Discovery
}

// Discover checks a URL and asks its server, without any credentials. What it finds is in the report.
// The one error is InvalidFields, for a URL that cannot be used.
func (s Service) Discover(ctx context.Context, fhirServerURL string) (Discovery, error) {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	reader := intake.NewReader(date.Of(now()), s.AnyTarget)
	server := reader.Server(fhirServerURL)
	if err := reader.Err(); err != nil {
		return Discovery{}, err
	}
	found := s.Verifier.Discover(ctx, server)
	found.Report = found.Report.Prepend(ctx, verification.Check{ID: verification.CheckFields, Status: verification.Pass, Code: "ok", Message: "The URL is well-formed."})
	return Discovery{Server: server, Notes: reader.Notes(), Discovery: found}, nil
}
