package link

import (
	"context"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/verification"
)

// SecretEnds tells when client secrets end, of applications that may know it.
type SecretEnds interface {
	// SecretEnd returns when the client secret in c ends. keyID is what it was found under the
	// last time. An error means that it is not known this way, which is no fault of the link.
	SecretEnd(ctx context.Context, c entra.Credentials, keyID string) (entra.SecretEnd, error)
}

// endTimeout bounds a look-up.
const endTimeout = 8 * time.Second

// secretEnd is when a secret ends and how that is known.
type secretEnd struct {
	on     date.Date
	source Source
	keyID  string // of the credential in Entra, when Microsoft Graph told it
}

// sourceOf is where a date that came with a credential comes from, if there is one.
func sourceOf(d date.Date, c credential.Credential) Source {
	if d.IsZero() {
		return ""
	}
	if _, ok := c.(credential.Certificate); ok {
		return Certificate
	}
	return Typed
}

// lookUp asks the directory when the secret of a target ends, once its token was found to work.
func (s *Service) lookUp(ctx context.Context, t verification.Target, report verification.Report, keyID string) (end secretEnd, found bool) {
	_, certificate := t.Credential.(credential.Certificate) // has its own date
	works := report.Outcome() == verification.OutcomeActive || report.Outcome() == verification.OutcomePendingAccess
	if s.ends == nil || certificate || !works {
		return secretEnd{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	told, err := s.ends.SecretEnd(ctx, entra.Credentials{
		Authority: s.authority(t.Server), TenantID: report.TenantID, ClientID: t.ClientID, Credential: t.Credential,
	}, keyID)
	if err != nil {
		s.log.DebugContext(ctx, "secret.end.unknown", "cause", err.Error())
		return secretEnd{}, false
	}
	return secretEnd{date.Of(told.At), Graph, told.KeyID}, true
}

// redate takes over what the directory says. Whom an earlier date surprises is told at once.
func (l *Link) redate(d secretEnd, now time.Time) {
	if l.Secret.ExpiresOn != d.on {
		l.NoticedOn = date.Date{}
		l.Revision++
		l.UpdatedAt = now
	}
	l.Secret.ExpiresOn, l.Secret.Source, l.Secret.KeyID = d.on, d.source, d.keyID
}
