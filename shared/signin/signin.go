package signin

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/seal"
)

// The pages of the sign-in. Entra must know the addresses of SignedIn, SignedOut and Consented.
const (
	Base      = "/api/manage/"
	SignIn    = Base + "sign-in"
	SignedIn  = Base + "signed-in"
	SignOut   = Base + "sign-out"
	SignedOut = Base + "signed-out"
	Consented = Base + "consented"
)

// What is sealed, and for how long.
const (
	usePending   = "sign-in"
	useSession   = "session"
	useFor       = "for"
	useSignedOut = "signed-out"

	pendingLife   = 30 * time.Minute
	sessionLife   = time.Hour
	renewBelow    = 15 * time.Minute
	renewedLife   = 5 * time.Minute
	forLife       = 24 * time.Hour
	signedOutLife = 10 * time.Minute
)

// Config describes a deployment to the people who sign in.
type Config struct {
	PublicURL string // origin of the pages, without a slash at the end
	Authority string // where browsers sign in, e.g. https://login.microsoftonline.com/
	ClientID  string
	Tenants   []string // tenant ids that may sign in, or "*"; lower case
	Operator  string   // a tenant that may sign in, too; may be empty
	Flow      Flow
	Sealer    *seal.Sealer
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger
}

// Service signs people in. It makes no request before the first one does.
type Service struct{ Config }

// New returns a service for c.
func New(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{c}
}

// ours returns the tenants that may sign in, if they can be listed.
func (s *Service) ours() []string {
	if slices.Contains(s.Tenants, "*") {
		return nil
	}
	all := slices.Clone(s.Tenants)
	if s.Operator != "" {
		all = append(all, s.Operator)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *Service) allowed(tenant string) bool {
	return slices.Contains(s.Tenants, "*") || slices.Contains(s.ours(), tenant)
}

// tenant chooses where a person signs in: at the organization that is named, by its tenant id or a
// domain of it; else at the only one there is; else Entra finds out by the account. What a domain
// belongs to is known when the token says so.
func (s *Service) tenant(organization string) (string, error) {
	organization = strings.ToLower(strings.TrimSpace(organization))
	switch {
	case organization == "":
		if all := s.ours(); len(all) == 1 {
			return all[0], nil
		}
		return "organizations", nil
	case entra.IsGUID(organization):
		if !s.allowed(organization) {
			return "", &entra.TenantNotAllowed{Tenant: organization}
		}
		return organization, nil
	case isDomain(organization):
		return organization, nil
	}
	return "", ErrOrganization
}

// isDomain reports whether text is a DNS name with a dot in it, in lower case.
func isDomain(text string) bool {
	labels := strings.Split(text, ".")
	return len(text) <= 253 && len(labels) > 1 && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(label, "-") != label
	})
}

// endpoint returns the address of an endpoint of the authority.
func (s *Service) endpoint(tenant, path string, query url.Values) string {
	return strings.TrimRight(s.Authority, "/") + "/" + tenant + path + "?" + encode(query)
}

// encode writes %20 for a space, because some readers of links do not know +.
func encode(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

// SignInURL returns the address of the page that begins a sign-in. It is absolute, because cookies
// belong to the public URL, under whatever name a page was opened. Empty values are left out; prompt
// select_account lets people choose another account.
func (s *Service) SignInURL(to, organization, prompt string) string {
	query := url.Values{}
	for name, value := range map[string]string{"to": to, "organization": organization, "prompt": prompt} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return s.PublicURL + SignIn
	}
	return s.PublicURL + SignIn + "?" + encode(query)
}

// ConsentURL returns where an administrator of an organization approves this application, for all of
// its people. organization is as in Start.
func (s *Service) ConsentURL(organization string) (string, error) {
	tenant, err := s.tenant(organization)
	if err != nil {
		return "", err
	}
	return s.endpoint(tenant, "/adminconsent", url.Values{"client_id": {s.ClientID}, "redirect_uri": {s.PublicURL + Consented}}), nil
}
