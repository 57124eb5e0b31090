package verification

import (
	"errors"

	"fhirlink/shared/entra"
)

// OfToken returns the report for a single token request. answer is the error of the request, nil
// if there was a token; asked holds the credentials that it used.
func OfToken(answer error, asked entra.Credentials, audience string) Report {
	check := Check{ID: CheckToken, Status: Fail, Outcome: OutcomeBroken}
	var refusal *entra.Refusal
	switch {
	case answer == nil:
		check.Status, check.Code, check.Outcome = Pass, "ok", ""
	case !errors.As(answer, &refusal) || refusal.Class() == entra.Transient:
		check.Outcome = OutcomeTransient
	case refusal.Class() == entra.Expired:
		check.Outcome = OutcomeExpired
	}
	if refusal != nil {
		d := refusal.Diagnose(asked, audience)
		check.Code, check.Message, check.Fix = refusal.Code(), d.Message, d.Fix
	}
	return Report{Checks: []Check{check}}
}
