package telling

import (
	"fmt"
	"strings"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
)

// expired is the state of a secret that has expired. Entra may say so before the date that is known,
// which then counts no days any more.
const expired = "expired"

// event is the notice as receivers get it: the same at every attempt, but for a description
// that was changed in between.
func (a About) event(n Notice) notify.Event {
	e := notify.Event{
		ID: n.ID, Type: n.Type, Time: n.At, Organization: a.Organization, Slug: a.Slug, Description: a.Description,
		Status: n.Status, SecretState: n.State, ExpiresOn: n.ExpiresOn.String(), Code: n.Code,
	}
	if days := n.ExpiresOn.DaysFrom(date.Of(n.At)); !n.ExpiresOn.IsZero() && (days < 0 || n.State != expired) {
		e.DaysLeft = &days
	}
	if n.Type == notify.SecretExpiring {
		e.Threshold = &n.Threshold
	}
	e.Message, e.Fix = a.words(n)
	return e
}

// newSecretFix is what to do about the end of a secret.
const newSecretFix = "Create a new client secret in the Microsoft Entra admin center (App registrations, your app, Certificates & secrets) and send it with PUT /api/links/%s/secret. The old one goes on working meanwhile."

// words are what happened and what to do.
func (a About) words(n Notice) (message, fix string) {
	fix = fmt.Sprintf(newSecretFix, a.Slug)
	switch n.Type {
	case notify.SecretExpiring:
		return fmt.Sprintf("The client secret of the link %s expires %s, on %s.", a.Slug, in(n.ExpiresOn.DaysFrom(date.Of(n.At))), n.ExpiresOn), fix
	case notify.SecretExpired:
		fix = strings.TrimSuffix(fix, " The old one goes on working meanwhile.")
		if n.ExpiresOn.IsZero() || n.ExpiresOn.DaysFrom(date.Of(n.At)) >= 0 {
			return fmt.Sprintf("Entra says that the client secret of the link %s has expired.", a.Slug), fix
		}
		return fmt.Sprintf("The client secret of the link %s expired on %s.", a.Slug, n.ExpiresOn), fix
	case notify.SecretDateMissing:
		return fmt.Sprintf("It is not known when the client secret of the link %s expires, so nobody can be warned in time.", a.Slug),
			fmt.Sprintf("Copy the date in the column Expires beside the secret (Certificates & secrets) and send it as secretExpiresOn with PATCH /api/links/%s.", a.Slug)
	case notify.SecretRotated:
		return fmt.Sprintf("The link %s has a new client secret.", a.Slug), ""
	case notify.LinkRecovered:
		return fmt.Sprintf("The link %s works again.", a.Slug), ""
	}
	return strings.TrimSpace(fmt.Sprintf("The link %s does not work. %s", a.Slug, n.Message)), n.Fix
}

// in is so many days from the day on which it is told.
func in(days int) string {
	switch days {
	case 0:
		return "today"
	case 1:
		return "tomorrow"
	}
	return fmt.Sprintf("in %d days", days)
}
