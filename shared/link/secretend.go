package link

import (
	"context"
	"time"

	"fhirlink/shared/credential"
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

// dated is when a secret ends and how that is known.
type dated struct {
	on     Date
	source Source
	keyID  string
}

// lookUp asks the directory when the secret of a target ends, once its token was found to work.
func (s *Service) lookUp(ctx context.Context, t verification.Target, report verification.Report, keyID string) (d dated, found bool) {
	_, certificate := t.Credential.(credential.Certificate) // has its own date
	works := report.Outcome() == verification.OutcomeActive || report.Outcome() == verification.OutcomePendingAccess
	if s.Ends == nil || certificate || !works {
		return dated{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	end, err := s.Ends.SecretEnd(ctx, entra.Credentials{
		Authority: s.Authority(t.Server), TenantID: report.TenantID, ClientID: t.ClientID, Credential: t.Credential,
	}, keyID)
	if err != nil {
		s.Log.DebugContext(ctx, "secret.end.unknown", "cause", err.Error())
		return dated{}, false
	}
	return dated{DateOf(end.At), Graph, end.KeyID}, true
}

// redate takes over what the directory says. Whom an earlier date surprises is told at once.
func (l *Link) redate(d dated, now time.Time) {
	if l.Secret.ExpiresOn != d.on {
		l.NoticedOn = Date{}
		l.Revision++
		l.UpdatedAt = now
	}
	l.Secret.ExpiresOn, l.Secret.Source, l.Secret.KeyID = d.on, d.source, d.keyID
}
