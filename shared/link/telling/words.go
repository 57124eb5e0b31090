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
		ID: n.ID, Type: n.Type, Time: n.At, Organization: a.Organization, Slug: a.Slug, App: a.App, Description: a.Description,
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

// Where a new secret, or its date, is sent.
const (
	newSecretFix = "Create a new client secret in the Microsoft Entra admin center (App registrations, your app, Certificates & secrets) and send it with %s. The old one goes on working meanwhile."
	dateFix      = "Copy the date in the column Expires beside the secret (Certificates & secrets) and send it as %s."
)

// subject is what the notices are about, with where a new secret and a date of it are sent.
func (a About) subject() (subject, secret, day string) {
	if a.App != "" {
		patch := fmt.Sprintf("PATCH /api/links/%s/apps/%s", a.Slug, a.App)
		return fmt.Sprintf("app %s of the link %s", a.App, a.Slug), patch + " as entra.clientSecret", "entra.secretExpiresOn with " + patch
	}
	return "link " + a.Slug, fmt.Sprintf("PUT /api/links/%s/secret", a.Slug), fmt.Sprintf("secretExpiresOn with PATCH /api/links/%s", a.Slug)
}

// words are what happened and what to do.
func (a About) words(n Notice) (message, fix string) {
	subject, secret, day := a.subject()
	fix = fmt.Sprintf(newSecretFix, secret)
	switch n.Type {
	case notify.SecretExpiring:
		return fmt.Sprintf("The client secret of the %s expires %s, on %s.", subject, in(n.ExpiresOn.DaysFrom(date.Of(n.At))), n.ExpiresOn), fix
	case notify.SecretExpired:
		fix = strings.TrimSuffix(fix, " The old one goes on working meanwhile.")
		if n.ExpiresOn.IsZero() || n.ExpiresOn.DaysFrom(date.Of(n.At)) >= 0 {
			return fmt.Sprintf("Entra says that the client secret of the %s has expired.", subject), fix
		}
		return fmt.Sprintf("The client secret of the %s expired on %s.", subject, n.ExpiresOn), fix
	case notify.SecretDateMissing:
		return fmt.Sprintf("It is not known when the client secret of the %s expires, so nobody can be warned in time.", subject), fmt.Sprintf(dateFix, day)
	case notify.SecretRotated:
		return fmt.Sprintf("The %s has a new client secret.", subject), ""
	case notify.LinkRecovered:
		return fmt.Sprintf("The %s works again.", subject), ""
	}
	return strings.TrimSpace(fmt.Sprintf("The %s does not work. %s", subject, n.Message)), n.Fix
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
