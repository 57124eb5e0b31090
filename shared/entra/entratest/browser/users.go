package browser

import "strings"

// The tenants of the usual users, and domains that name them.
const (
	Clinic  = "11111111-1111-4111-8111-111111111111"
	Partner = "44444444-4444-4444-8444-444444444444"

	ClinicDomain  = "clinic.sandbox.test"
	PartnerDomain = "partner.sandbox.test"
)

// User is a person with an account at Entra.
type User struct {
	Name     string
	Username string            // the preferred_username, and the address of mail
	Home     string            // tenant of the account
	Members  map[string]Member // what the person is in each tenant, Home among them
	FHIRUser string            // the FHIR resource that stands for the person, e.g. Patient/p-1; empty: none
	// AccessClaims are further claims of access tokens for resources, e.g. fhirUser, and roles that the
	// resource gives.
	AccessClaims map[string]any
}

// Member is a user in one tenant.
type Member struct {
	ObjectID string
	Roles    []string // of the API's application, from which a token gets them
}

// Users returns the usual users: ada, a practitioner, manages links; pat is a patient; nobody is neither
// and may not manage; guest is at home at the partner and manages links of the clinic as a guest, so that
// she has to name the organization.
func Users() []User {
	administrator := []string{"Links.Administrator"}
	return []User{
		{
			Name: "Ada Lovelace", Username: "ada@" + ClinicDomain, Home: Clinic, FHIRUser: "Practitioner/1",
			Members: map[string]Member{Clinic: {"a0a0a0a0-0000-4000-8000-000000000001", administrator}},
		},
		{
			Name: "Pat Patient", Username: "pat@" + ClinicDomain, Home: Clinic, FHIRUser: "Patient/p-1",
			Members: map[string]Member{Clinic: {"a0a0a0a0-0000-4000-8000-000000000005", nil}},
		},
		{
			Name: "Nobody Inparticular", Username: "nobody@" + ClinicDomain, Home: Clinic,
			Members: map[string]Member{Clinic: {"a0a0a0a0-0000-4000-8000-000000000002", nil}},
		},
		{
			Name: "Grace Guest", Username: "guest@" + PartnerDomain, Home: Partner,
			Members: map[string]Member{
				Partner: {"a0a0a0a0-0000-4000-8000-000000000003", nil},
				Clinic:  {"a0a0a0a0-0000-4000-8000-000000000004", administrator},
			},
		},
	}
}

// hint is the claim login_hint, which is opaque to others.
func (u User) hint() string { return "O." + strings.ToUpper(u.Username) }

// Short is the name of a user in a form.
func (u User) Short() string {
	name, _, _ := strings.Cut(u.Username, "@")
	return name
}

// meantBy reports whether a login hint names the user.
func (u User) meantBy(hint string) bool {
	return hint != "" && (strings.EqualFold(hint, u.Username) || hint == u.hint() || hint == automatic+":"+u.Short())
}
