package signin

import (
	"slices"

	"fhirlink/shared/entra"
)

// Code says why Entra has refused a sign-in, for people who are to do something about it.
type Code string

// The codes, by who can help.
const (
	// The operator of this service.
	IDTokensOff        Code = "id_tokens_off"       // ID tokens are not switched on in the registration
	RedirectUnknown    Code = "redirect_unknown"    // the redirect URI is not registered
	ApplicationUnknown Code = "application_unknown" // the client id is not known in the organization: wrong, or not consented to yet
	ApplicationOff     Code = "application_off"     // the application is disabled

	// An administrator of the organization.
	ConsentMissing Code = "consent_missing" // nobody has approved this application yet
	NotAssigned    Code = "not_assigned"    // only people who are assigned may sign in, and this one is not
	Policy         Code = "policy"          // Conditional Access stops it

	// The person.
	Declined            Code = "declined"             // the person said no
	AccountUnknown      Code = "account_unknown"      // the account does not exist in the organization
	AccountBlocked      Code = "account_blocked"      // the account is locked or disabled
	OrganizationUnknown Code = "organization_unknown" // there is no such organization
	LoginRequired       Code = "login_required"       // only when nobody may be asked
	InteractionRequired Code = "interaction_required" // only when nobody may be asked

	Busy  Code = "busy"  // Entra has a passing problem
	Other Code = "other" // look the number up
)

// byNumber is what decides first: Entra's numbers say more than its errors do
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
var byNumber = []struct {
	numbers []int
	code    Code
}{
	{[]int{700054, 700051}, IDTokensOff},
	{[]int{50011, 500112, 500113}, RedirectUnknown},
	{[]int{700016, 700011, 700038, 50194, 50001, 500011, 650051, 650052, 7000229}, ApplicationUnknown},
	{[]int{7000112, 70001, 500014}, ApplicationOff},
	{[]int{65001, 90094, 90093, 650056, 900971, 65005}, ConsentMissing},
	{[]int{50105, 501051}, NotAssigned},
	{[]int{53000, 53001, 53002, 53003, 53004, 53011, 530003, 530032, 530035, 50005}, Policy},
	{[]int{65004}, Declined},
	{[]int{50020, 50034, 500208, 90072, 50177, 50178, 500200, 500207}, AccountUnknown},
	{[]int{50053, 50057}, AccountBlocked},
	{[]int{90002, 90019, 50059, 50128, 900023}, OrganizationUnknown},
	{[]int{50058, 500581}, LoginRequired},
	{[]int{50072, 50074, 50076, 50079, 50125, 16000, 16002, 16003, 50127, 50129, 50131, 50132, 50133, 50140, 50144, 50155, 50055}, InteractionRequired},
}

// byError decides where no number does (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
var byError = map[string]Code{
	"access_denied":              Declined,
	"consent_required":           ConsentMissing,
	"login_required":             LoginRequired,
	"interaction_required":       InteractionRequired,
	"account_selection_required": InteractionRequired,
	"unauthorized_client":        ApplicationUnknown,
	"unsupported_response_type":  IDTokensOff,
	"temporarily_unavailable":    Busy,
	"server_error":               Busy,
}

func codeOf(r *entra.Refusal) Code {
	for _, row := range byNumber {
		if slices.Contains(row.numbers, r.Number) {
			return row.code
		}
	}
	if code, ok := byError[r.OAuthError]; ok {
		return code
	}
	if r.Class() == entra.Transient {
		return Busy
	}
	return Other
}
