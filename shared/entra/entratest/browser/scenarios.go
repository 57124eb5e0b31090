package browser

// Scenario is how Entra answers a sign-in.
type Scenario string

// The scenarios. The zero Scenario is an answer with a good token.
const (
	Declined            Scenario = "declined"             // AADSTS65004: the user said no
	ConsentMissing      Scenario = "consent-missing"      // AADSTS65001
	AdminConsent        Scenario = "admin-consent"        // AADSTS90094: an administrator must approve
	IDTokensOff         Scenario = "id-tokens-off"        // AADSTS700054
	NotAssigned         Scenario = "not-assigned"         // AADSTS50105
	Blocked             Scenario = "blocked"              // AADSTS53003: Conditional Access
	InteractionRequired Scenario = "interaction-required" // AADSTS50076, with prompt=none only
	LoginRequired       Scenario = "login-required"       // AADSTS50058, with prompt=none only
	Busy                Scenario = "busy"                 // AADSTS90033
	Strange             Scenario = "strange"              // a number that nobody knows
	ClockBehind         Scenario = "clock-behind"         // a token that is not valid yet
	ClockAhead          Scenario = "clock-ahead"          // a token that has ended
	KeyRotated          Scenario = "key-rotated"          // a good token, signed by a key that is new
	Forged              Scenario = "forged"               // signed by a key that is not Entra's
	WrongNonce          Scenario = "wrong-nonce"          // a good token of another sign-in
	WrongState          Scenario = "wrong-state"          // an answer that nobody has asked for
	Stranger            Scenario = "another-organization" // a good token of a tenant that this site does not list
)

const declined = "User declined to consent to access the app."

// refusals are the scenarios in which Entra refuses, in its words.
var refusals = map[Scenario]struct {
	oauth  string
	number int
	text   string
	silent bool // with prompt=none only
}{
	Declined:            {"access_denied", 65004, declined, false},
	ConsentMissing:      {"consent_required", 65001, "The user or administrator has not consented to use the application with ID '{client}' named 'fhirlink API'. Send an interactive authorization request for this user and resource.", false},
	AdminConsent:        {"access_denied", 90094, "An administrator of this organization has set a policy that prevents you from granting fhirlink API the permissions it is requesting.", false},
	IDTokensOff:         {"unsupported_response_type", 700054, "response_type 'id_token' is not enabled for the application.", false},
	NotAssigned:         {"interaction_required", 50105, "Your administrator has configured the application fhirlink API ('{client}') to block users unless they are specifically granted ('assigned') access to the application.", false},
	Blocked:             {"access_denied", 53003, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.", false},
	InteractionRequired: {"interaction_required", 50076, "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '{client}'.", true},
	LoginRequired:       {"login_required", 50058, "A silent sign-in request was sent but no user is signed in.", true},
	Busy:                {"temporarily_unavailable", 90033, "A transient error has occurred. Please try again.", false},
	Strange:             {"invalid_request", 999999, "The sandbox refuses this with a number that nobody has heard of.", false},
}

// Scenarios returns all of them, for the page where people choose one.
func Scenarios() []Scenario {
	return []Scenario{
		Declined, ConsentMissing, AdminConsent, IDTokensOff, NotAssigned, Blocked, InteractionRequired, LoginRequired, Busy, Strange,
		ClockBehind, ClockAhead, KeyRotated, Forged, WrongNonce, WrongState, Stranger,
	}
}
