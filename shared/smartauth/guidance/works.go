package guidance

import "slices"

// use is what somebody does with an app, as far as FHIR servers treat it in their own ways.
type use int

// The uses, in the order of the table's columns.
const (
	ownData   use = iota // a patient signs in, scopes patient/…
	clinician            // a practitioner signs in, scopes user/…
	oneChart             // a practitioner opens the app for a patient, scopes patient/…
	backend              // nobody signs in, scopes system/…
	uses
)

// cell says what becomes of a use.
type cell struct {
	says  string // in the table
	notes []note
}

// note is a sentence about what will not work, and what to do instead.
type note struct {
	text string
	when func(Link, app) bool // nil: always
}

func always(text string) note { return note{text: text} }

type row struct {
	tokens Tokens
	server Server
	cells  [uses]cell
}

// table is what works where. README.md of package smart shows it, and a test compares both.
var table = []row{
	{Own, Firely, [uses]cell{{says: works}, {says: works}, {says: works}, {says: works}}},
	{Own, FHIRServer, [uses]cell{
		{says: works, notes: []note{needsRole}},
		{says: works, notes: []note{needsRole}},
		{says: "works (`compartment: fhirUser`)", notes: []note{needsRole, byClaim}},
		{says: works, notes: []note{needsRole}},
	}},
	{Own, AHDS, [uses]cell{
		{says: "reading, v1 `read` by its documentation", notes: []note{readsOnly, readsV1}},
		{says: "reading", notes: []note{readsOnly, readsV1}},
		{says: "reading (`compartment: fhirUser`)", notes: []note{readsOnly, readsV1, byClaim}},
		{says: "refused (`fhirUser` required)", notes: []note{always("Azure Health Data Services wants a fhirUser in every token of another authorization server (by its documentation; not tried), and tokens of backend services have none: system/ scopes will be refused there. " + withoutSMART)}},
	}},
	{Entra, Firely, [uses]cell{
		{says: "rejected: no claim `patient`", notes: []note{always(noPatient)}},
		{says: "only if it reads `scp`", notes: []note{always("Entra puts a user's scopes into the claim scp, and Firely's documentation names only the claim scope: whether Firely Server reads scp was not established. Try one request with a user/ scope before you rely on it. If it is refused, use tokens: fhirlink.")}},
		{says: "rejected", notes: []note{always(noPatient)}},
		{says: "unknown", notes: []note{always("Entra puts a backend service's permissions into the claim roles: whether Firely Server reads it was not established. Try one request with a system/ scope before you rely on it. If it is refused, use tokens: fhirlink.")}},
	}},
	{Entra, FHIRServer, [uses]cell{
		{says: "with app role `smartUser` and `fhirUser` in the access token", notes: []note{always("Microsoft's FHIR server lets SMART users in by the app role smartUser, and finds their own data by fhirUser in the access token (by its source code; not tried). Assign smartUser of the API's registration to each user, and add the claim fhirUser to the access tokens of that registration.")}},
		{says: works},
		{says: "launch patient ignored: the practitioner's own compartment", notes: []note{always("Microsoft's FHIR server" + ownCompartment)}},
		{says: "needs `roles` in `ScopesClaim`", notes: []note{always("Entra puts a backend service's permissions into the claim roles, which Microsoft's FHIR server reads if ScopesClaim names it (by its source code; not tried). Set ScopesClaim as in snippets.fhirServer, and give the app's registration the app role smartUser and those of its system/ scopes.")}},
	}},
	{Entra, AHDS, [uses]cell{
		{says: "the same, by \"FHIR SMART User\"", notes: []note{always("Azure Health Data Services lets SMART users in by the role FHIR SMART User, and finds their own data by fhirUser in the access token (by its documentation; not tried). Assign the role to each user, and add the claim to the access tokens: snippets.ahds says how.")}},
		{says: works},
		{says: "ignored", notes: []note{always("Azure Health Data Services" + ownCompartment)}},
		{says: "–", notes: []note{always("What Azure Health Data Services makes of system/ scopes in Entra's tokens was not established. Try one request before you rely on it. " + withoutSMART)}},
	}},
}

const works = "works"

// Parts of sentences.
const (
	noPatient      = "Firely Server rejects patient/ scopes in a token without the claim patient, which Entra's tokens do not have (by its documentation; not tried). Use tokens: fhirlink for apps with patient/ scopes."
	ownCompartment = " takes the patient from fhirUser, and Entra's tokens do not name the patient of a launch (by the server's source code; not tried): a practitioner who opens an app for a patient gets the practitioner's own compartment. Use tokens: fhirlink for apps that EHRs open."
	withoutSMART   = "Instead, give the backend service an application in Entra with a data role of the FHIR service, as the link has: then scopes play no part."
)

var (
	readsOnly = note{
		"Azure Health Data Services lets apps with tokens of another authorization server read only (by its documentation; not tried): scopes that write will be refused there. Apps that write need tokens: entra.",
		func(_ Link, a app) bool { return a.writes },
	}
	readsV1 = note{
		"Azure Health Data Services wants SMART v1 scopes in tokens of another authorization server (by its documentation; not tried): if it refuses those of v2, such as patient/*.rs, let the app ask for patient/*.read, which patient/*.rs in its scopes allows.",
		func(_ Link, a app) bool { return a.v2 },
	}
	byClaim = note{
		"This kind of server takes the patient from fhirUser, and compartment is claim (by the server's source code; not tried): a practitioner who opens an app for a patient gets the practitioner's own compartment. Set compartment to fhirUser.",
		func(l Link, _ app) bool { return l.Compartment != "fhirUser" },
	}
	needsRole = note{
		"Microsoft's FHIR server obeys scopes in tokens that have the role smartUser, and accessTokenRoles lacks it (by its source code; not tried): it refuses every request or, with another of its roles, allows whatever that role may do. Set accessTokenRoles to [\"smartUser\"].",
		func(l Link, _ app) bool { return !l.hasRole() },
	}
)

const smartUser = "smartUser"

func (l Link) hasRole() bool { return slices.Contains(l.AccessTokenRoles, smartUser) }
