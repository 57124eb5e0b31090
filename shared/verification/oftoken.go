package verification

import (
	"errors"

	"fhirlink/shared/entra"
)

// OfToken returns the report for a single token request. answer is the error of the request, nil
// if there was a token; asked holds the credentials that it used.
func OfToken(answer error, asked entra.Credentials, audience string) Report {
	check := Check{ID: CheckToken, Title: Title(CheckToken), Status: Fail, Outcome: OutcomeBroken}
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
		check.Code, check.Message, check.Fix, check.Command, check.SecretRefused = refusal.Code(), d.Message, d.Fix, d.Command, refusal.SecretRefused()
	}
	if check.Code == "" { // no answer, or none that OAuth knows
		d := (&entra.Unreachable{}).Diagnose()
		check.Code, check.Message, check.Fix = "entra_unreachable", d.Message, d.Fix
	}
	return Report{Checks: []Check{check}}
}

// SecretMissing is the finding that the store of secrets does not have what the row names, because
// it was removed or disabled there by hand.
func SecretMissing() Check {
	return Check{
		ID: CheckFields, Title: Title(CheckFields),
		Status: Fail, Code: "secret_missing",
		Message: "The client secret of this link is no longer in the secret store.",
		Fix:     "Replace the client secret (API: PUT /api/links/{slug}/secret). If nobody deleted it on purpose, ask the operator to look for it among the vault's deleted secrets.",
		Outcome: OutcomeBroken,
	}
}
