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
	Username string            // the preferred_username
	Home     string            // tenant of the account
	Members  map[string]Member // what the person is in each tenant, Home among them
}

// Member is a user in one tenant.
type Member struct {
	ObjectID string
	Roles    []string // of the application, from which a token gets them
}

// Users returns the usual users: ada manages links; nobody may not; guest is at home at the partner and
// manages links of the clinic as a guest, so that she has to name the organization.
func Users() []User {
	administrator := []string{"Links.Administrator"}
	return []User{
		{"Ada Lovelace", "ada@" + ClinicDomain, Clinic, map[string]Member{Clinic: {"a0a0a0a0-0000-4000-8000-000000000001", administrator}}},
		{"Nobody Inparticular", "nobody@" + ClinicDomain, Clinic, map[string]Member{Clinic: {"a0a0a0a0-0000-4000-8000-000000000002", nil}}},
		{"Grace Guest", "guest@" + PartnerDomain, Partner, map[string]Member{
			Partner: {"a0a0a0a0-0000-4000-8000-000000000003", nil},
			Clinic:  {"a0a0a0a0-0000-4000-8000-000000000004", administrator},
		}},
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
	return hint != "" && (strings.EqualFold(hint, u.Username) || hint == u.hint())
}
