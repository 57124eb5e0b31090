package config

import (
	"errors"
	"fmt"
	"net/netip"

	"fhirlink/shared/egress"
	"fhirlink/shared/notify/mail"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
)

// The names of the settings.
const (
	KeyVaultURL           = "FHIRLINK_KEY_VAULT_URL"
	TableEndpoint         = "FHIRLINK_TABLE_ENDPOINT"
	TableConnectionString = "FHIRLINK_TABLE_CONNECTION_STRING"
	AuthorityHost         = "FHIRLINK_AUTHORITY_HOST"
	APIAudience           = "FHIRLINK_API_AUDIENCE"
	AllowedTenants        = "FHIRLINK_ALLOWED_TENANTS"
	OperatorTenant        = "FHIRLINK_OPERATOR_TENANT"
	CORSOrigins           = "FHIRLINK_CORS_ORIGINS"
	EgressAllow           = "FHIRLINK_EGRESS_ALLOW"
	MaxLinks              = "FHIRLINK_MAX_LINKS"
	PublicURL             = "FHIRLINK_PUBLIC_URL"
	TrailDays             = "FHIRLINK_TRAIL_DAYS"
	Seal                  = "FHIRLINK_SEAL"
	SmartKey              = "FHIRLINK_SMART_KEY"
	SmartTable            = "FHIRLINK_SMART_TABLE"
	ServiceName           = "FHIRLINK_SERVICE_NAME"
	Support               = "FHIRLINK_SUPPORT"
	PrivacyURL            = "FHIRLINK_PRIVACY_URL"
	ScopeAliases          = "FHIRLINK_SCOPE_ALIASES"
	ExpiryThresholds      = "FHIRLINK_EXPIRY_THRESHOLDS"
	ClientID              = "AZURE_CLIENT_ID"
	CoreTools             = "FUNCTIONS_CORETOOLS_ENVIRONMENT"
)

// The defaults of optional settings.
const (
	DefaultAuthority   = "https://login.microsoftonline.com/"
	DefaultMaxLinks    = 500
	DefaultTrailDays   = 400
	DefaultSeal        = "fhirlink-seal"
	DefaultSmartKey    = "fhirlink-smart"
	DefaultSmartTable  = "smart"
	DefaultServiceName = "fhirlink"
)

// Config holds all settings, checked.
type Config struct {
	Vaults                []Vault      // for client secrets: new ones go to the first, all are read
	TableEndpoint         string       // URL of the table service, without trailing slash; alternative to TableConnectionString
	TableConnectionString secret.Value // UseDevelopmentStorage=true is expanded
	Authority             string       // https://{host}/, with trailing slash
	Audiences             []string     // accepted in callers' tokens
	Tenants               []string     // whose members may call; "*" alone allows every organization
	OperatorTenant        string       // allowed in addition to Tenants; "" for none
	Origins               []string     // of web front ends
	EgressAllow           []netip.Prefix
	MaxLinks              int    // per organization
	TrailDays             int    // how long events of the trail are kept
	PublicURL             string // origin under which browsers reach this deployment; "" for none
	Seal                  string // name of the secret whose versions are the sealing keys: in the first vault, if there are vaults
	SmartKey              string // name of the key that signs tokens of SMART authorization: in the first vault
	SmartTable            string // name of the table of SMART authorization, beside that of links
	ServiceName           string // what the pages call this service
	Support               string // mailto: or https link to help; "" for none
	PrivacyURL            string // "" for none
	ScopeAliases          smart.Aliases
	ClientID              string // of the user-assigned managed identity; "" for none
	CoreTools             bool   // running under Azure Functions Core Tools: the Azure CLI provides the credential

	ExpiryThresholds  []int       // days before a secret's expiry at which people are notified; nil: the defaults
	EventGridEndpoint string      // of a custom topic, without trailing slash; "" for none
	Mail              mail.Server // Host is "" for none
}

// Lookup is os.LookupEnv, or a map in tests. A variable that holds only white space counts as
// unset.
type Lookup func(name string) (string, bool)

// Problem is a mistake in one setting.
type Problem struct {
	Name    string
	Message string // what is wrong and what to set; never the value
}

// Error returns the name of the setting and the message.
func (p *Problem) Error() string { return p.Name + ": " + p.Message }

// Problems returns the mistakes in err, an error of FromEnv or Local, in the order of the
// settings.
func Problems(err error) []*Problem {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var problems []*Problem
	for _, one := range joined.Unwrap() {
		var p *Problem
		if errors.As(one, &p) {
			problems = append(problems, p)
		}
	}
	return problems
}

// FromEnv reads the settings of cmd/azure and cmd/lambda. The error joins one Problem per
// mistake.
func FromEnv(lookup Lookup) (Config, error) {
	env := reader{lookup: lookup}
	c := env.common()
	env.required(c)
	return c, errors.Join(env.problems...)
}

// Local reads the settings of cmd/local, all of which are optional.
func Local(lookup Lookup) (Config, error) {
	env := reader{lookup: lookup}
	c := env.common()
	return c, errors.Join(env.problems...)
}

func (e *reader) common() Config {
	return Config{
		Vaults:                e.vaults(),
		TableEndpoint:         e.url(TableEndpoint, tableURL),
		TableConnectionString: e.connectionString(),
		Authority:             e.authority(),
		Audiences:             e.audiences(),
		Tenants:               e.tenants(),
		OperatorTenant:        e.operator(),
		Origins:               list(e, CORSOrigins, parseOrigin),
		EgressAllow:           e.egress(),
		MaxLinks:              e.maxLinks(),
		PublicURL:             e.publicURL(),
		TrailDays:             e.trailDays(),
		Seal:                  e.seal(),
		SmartKey:              e.smartKey(),
		SmartTable:            e.smartTable(),
		ServiceName:           e.serviceName(),
		Support:               e.link(Support, true),
		PrivacyURL:            e.link(PrivacyURL, false),
		ScopeAliases:          e.aliases(),
		ClientID:              e.guid(ClientID),
		CoreTools:             e.get(CoreTools) == "true",

		ExpiryThresholds:  e.thresholds(),
		EventGridEndpoint: e.url(EventGridEndpoint, topicURL),
		Mail:              e.mail(),
	}
}

func (e *reader) required(c Config) {
	if e.get(KeyVaultURL) == "" {
		e.addProblem(KeyVaultURL, "is not set. Set it to the vaults that hold the client secrets, e.g. https://contoso.vault.azure.net")
	}
	switch endpoint, connection := e.get(TableEndpoint) != "", e.get(TableConnectionString) != ""; {
	case !endpoint && !connection:
		e.addProblem(TableEndpoint, "is not set. Set it to the table service, e.g. https://contoso.table.core.windows.net, or set "+TableConnectionString)
	case endpoint && connection:
		e.addProblem(TableEndpoint, "and "+TableConnectionString+" are both set. Set one of them: the endpoint for the managed identity, the connection string for a shared key")
	}
	if e.get(APIAudience) == "" {
		e.addProblem(APIAudience, "is not set. Set it to the client id of the API's app registration: callers' tokens must carry it as aud")
	}
	if e.get(PublicURL) != "" && e.get(APIAudience) != "" && c.SignInClient() == "" {
		e.addProblem(APIAudience, "has no client id (GUID), which people who sign in at "+PublicURL+" need. Add the API's client id")
	}
	if e.get(AllowedTenants) == "" {
		e.addProblem(AllowedTenants, "is not set. Set it to the tenant ids whose members may call, separated by commas, or to * for every organization's tenant")
	}
}

func (e *reader) egress() []netip.Prefix {
	text := e.get(EgressAllow)
	if text == "" {
		return nil
	}
	prefixes, err := egress.ParseAllow(text)
	if err != nil {
		e.addProblem(EgressAllow, fmt.Sprintf("is not a list of allowed networks: %v", err))
	}
	return prefixes
}

func (e *reader) aliases() smart.Aliases {
	aliases, err := smart.ParseAliases(e.get(ScopeAliases))
	if err != nil {
		e.addProblem(ScopeAliases, fmt.Sprintf("is not a map of scope aliases: %v", err))
	}
	return aliases
}
