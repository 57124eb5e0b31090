package ending

import (
	"context"
	"log/slog"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/verification"
)

// Source is where the date of a secret's end comes from.
type Source string

// The sources of dates.
const (
	ByOwner       Source = "typed"       // in the request
	ByCertificate Source = "certificate" // the certificate's own date
	ByGraph       Source = "graph"       // Microsoft Graph
	ByRefusal     Source = "observed"    // Entra answered AADSTS7000222, whatever date was known
)

// Directory knows when client secrets end, of applications that may ask. graph.Client is one.
type Directory interface {
	// SecretEnd returns when the client secret in c ends. keyID is what it was found under the
	// last time. An error means that it is not known this way, which is no fault of the link.
	SecretEnd(ctx context.Context, c entra.Credentials, keyID string) (entra.SecretEnd, error)
}

// lookUpTimeout bounds a lookup.
const lookUpTimeout = 8 * time.Second

// End is when a credential ends and how that is known.
type End struct {
	On     date.Date // zero: not known
	Source Source
	KeyID  string // of the credential in Entra, when Microsoft Graph told it
}

// Typed is an end that came with a credential, if a date did.
func Typed(on date.Date, c credential.Credential) End {
	if on.IsZero() {
		return End{}
	}
	if _, ok := c.(credential.Certificate); ok {
		return End{On: on, Source: ByCertificate}
	}
	return End{On: on, Source: ByOwner}
}

// LookUp asks the directory when the secret of a target ends, once its token was found to work. d
// may be nil. keyID is what the secret was found under the last time.
func LookUp(ctx context.Context, d Directory, authority string, t verification.Target, report verification.Report, keyID string, log *slog.Logger) (end End, found bool) {
	_, certificate := t.Credential.(credential.Certificate) // holds its date
	works := report.Outcome() == verification.OutcomeActive || report.Outcome() == verification.OutcomePendingAccess
	if d == nil || certificate || !works {
		return End{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	told, err := d.SecretEnd(ctx, entra.Credentials{
		Authority: authority, TenantID: report.TenantID, ClientID: t.ClientID, Credential: t.Credential,
	}, keyID)
	if err != nil {
		log.DebugContext(ctx, "secret.end.unknown", "cause", err.Error())
		return End{}, false
	}
	return End{date.Of(told.At), ByGraph, told.KeyID}, true
}
