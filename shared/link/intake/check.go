package intake

import (
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/verification"
)

// Check is a report's first check: what is known without a request.
func Check(expiresOn date.Date, now time.Time) verification.Check {
	c := verification.Check{ID: verification.CheckFields, Title: verification.Title(verification.CheckFields), Status: verification.Pass, Code: "ok"}
	switch {
	case expiresOn.IsZero():
		c.Status, c.Code = verification.Warn, "expiry_missing"
		c.Message = "It is not known when the client secret expires, so nobody can be warned in time."
		c.Fix = "Copy the date in the column Expires beside the secret (Certificates & secrets) into secretExpiresOn."
	case expiresOn.DaysFrom(date.Of(now)) < 0:
		c.Status, c.Code = verification.Warn, "expiry_past"
		c.Message = "By the date that was given, the client secret expired on " + expiresOn.String() + "."
		c.Fix = "Create a new client secret and give it with its own end date (API: PUT to …/secret of this link), or correct secretExpiresOn."
	}
	return c
}
