package config_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/config"
)

const (
	tenantA  = "11111111-1111-4111-8111-111111111111"
	tenantB  = "22222222-2222-4222-8222-22222222222a"
	personal = "9188040d-6c67-4c5b-b112-36a304b66dad"
	account  = "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=Y2FuYXJ5;EndpointSuffix=core.windows.net"
)

// env returns a complete environment with changes; "" removes a setting.
func env(changes map[string]string) config.Lookup {
	vars := map[string]string{
		config.KeyVaultURL:    "https://contoso.vault.azure.net/",
		config.TableEndpoint:  "https://contoso.table.core.windows.net",
		config.APIAudience:    tenantB,
		config.AllowedTenants: tenantA,
	}
	for name, value := range changes {
		vars[name] = value
	}
	return func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
}

func TestFromEnvDefaults(t *testing.T) {
	got, err := config.FromEnv(env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Vaults, []config.Vault{{Name: "contoso", URL: "https://contoso.vault.azure.net"}}) || got.TableEndpoint != "https://contoso.table.core.windows.net" ||
		!got.TableConnectionString.IsZero() || got.Authority != "https://login.microsoftonline.com/" || got.MaxLinks != 500 || got.TrailDays != 400 ||
		!slices.Equal(got.Audiences, []string{tenantB}) || !slices.Equal(got.Tenants, []string{tenantA}) ||
		got.OperatorTenant != "" || got.Origins != nil || got.EgressAllow != nil || got.ClientID != "" || got.CoreTools {
		t.Errorf("%+v", got)
	}
}

func TestFromEnv(t *testing.T) {
	got, err := config.FromEnv(env(map[string]string{
		config.TableEndpoint:         " ",
		config.TableConnectionString: account,
		config.AuthorityHost:         " https://Login.MicrosoftOnline.us ",
		config.APIAudience:           strings.ToUpper(tenantB) + ", api://fhirlink",
		config.AllowedTenants:        tenantA + " ,, " + strings.ToUpper(tenantB) + ",",
		config.OperatorTenant:        tenantB,
		config.CORSOrigins:           "https://App.contoso.com:443,http://localhost:3000",
		config.EgressAllow:           "10.1.0.0/16,fd12::/48",
		config.MaxLinks:              "7",
		config.PublicURL:             "https://Links.contoso.com:443",
		config.TrailDays:             "90",
		config.ClientID:              tenantA,
		config.CoreTools:             "true",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got.TableEndpoint != "" || got.TableConnectionString.Reveal() != account || got.Authority != "https://login.microsoftonline.us/" ||
		!slices.Equal(got.Audiences, []string{tenantB, "api://fhirlink"}) || !slices.Equal(got.Tenants, []string{tenantA, tenantB}) ||
		got.OperatorTenant != tenantB || !slices.Equal(got.Origins, []string{"https://app.contoso.com", "http://localhost:3000"}) ||
		!slices.Equal(got.EgressAllow, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/48")}) ||
		got.MaxLinks != 7 || got.TrailDays != 90 || got.PublicURL != "https://links.contoso.com" || got.ClientID != tenantA || !got.CoreTools {
		t.Errorf("%+v", got)
	}
}

func TestEveryTenant(t *testing.T) {
	got, err := config.FromEnv(env(map[string]string{config.AllowedTenants: " * "}))
	if err != nil || !slices.Equal(got.Tenants, []string{"*"}) {
		t.Errorf("%q, %v", got.Tenants, err)
	}
}

func TestDevelopmentStorage(t *testing.T) {
	for _, text := range []string{"UseDevelopmentStorage=true", "usedevelopmentstorage=True;"} {
		got, err := config.FromEnv(env(map[string]string{config.TableEndpoint: "", config.TableConnectionString: text}))
		if err != nil {
			t.Fatal(err)
		}
		full := got.TableConnectionString.Reveal()
		if !strings.Contains(full, "AccountName=devstoreaccount1;") || !strings.Contains(full, "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;") {
			t.Errorf("%s became %s", text, full)
		}
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	tests := []struct {
		name, value string
		good        bool
	}{
		{config.KeyVaultURL, "", false},
		{config.KeyVaultURL, "contoso.vault.azure.net", false},
		{config.KeyVaultURL, "http://contoso.vault.azure.net", false},
		{config.KeyVaultURL, "https://contoso.vault.azure.net/secrets/canary", false},
		{config.KeyVaultURL, "https://user:canary@contoso.vault.azure.net", false},
		{config.KeyVaultURL, "https://contoso.vault.azure.net?sig=canary", false},
		{config.KeyVaultURL, "https://127.0.0.1:8443", true},
		{config.TableEndpoint, "", false},
		{config.TableEndpoint, "https://contoso.table.core.windows.net?sig=canary", false},
		{config.TableEndpoint, "http://contoso.table.core.windows.net", false},
		{config.TableEndpoint, "http://127.0.0.1:10002/devstoreaccount1", true},
		{config.TableEndpoint, "ftp://canary", false},
		{config.TableConnectionString, account, false}, // both
		{config.AuthorityHost, "http://login.microsoftonline.com/", false},
		{config.AuthorityHost, "https://login.microsoftonline.com/canary", false},
		{config.AuthorityHost, "https://login.microsoftonline.com/?x=canary", false},
		{config.AuthorityHost, "login.microsoftonline.com", false},
		{config.AuthorityHost, "https://", false},
		{config.AuthorityHost, "https://login.sandbox.test:8443", true},
		{config.APIAudience, "", false},
		{config.APIAudience, " , ", false},
		{config.APIAudience, "canary", false},
		{config.APIAudience, "*", false},
		{config.APIAudience, "api://" + tenantA, true},
		{config.AllowedTenants, "", false},
		{config.AllowedTenants, "contoso.com", false},
		{config.AllowedTenants, tenantA + ",*", false},
		{config.AllowedTenants, tenantA + "," + personal, false},
		{config.AllowedTenants, "{" + tenantA + "}", false},
		{config.OperatorTenant, "canary", false},
		{config.OperatorTenant, personal, false},
		{config.CORSOrigins, "*", false},
		{config.CORSOrigins, "null", false},
		{config.CORSOrigins, "https://*.contoso.com", false},
		{config.CORSOrigins, "https://app.contoso.com/", false},
		{config.CORSOrigins, "https://app.contoso.com/canary", false},
		{config.CORSOrigins, "app.contoso.com", false},
		{config.CORSOrigins, "file:///x", false},
		{config.CORSOrigins, "https://app.contoso.com:8443", true},
		{config.EgressAllow, "canary", false},
		{config.EgressAllow, "0.0.0.0/0", false},
		{config.ScopeAliases, "canary", false},
		{config.ScopeAliases, `{"patient/DocumentReference.rs?category=x":"docref-x"}`, true},
		{config.PublicURL, "https://links.contoso.com", true},
		{config.PublicURL, "https://links.contoso.com:8443", true},
		{config.PublicURL, "http://localhost:7071", true},
		{config.PublicURL, "http://[::1]:7071", true},
		{config.PublicURL, "https://links.contoso.com/", false},
		{config.PublicURL, "https://links.contoso.com/api", false},
		{config.PublicURL, "http://links.contoso.com", false},
		{config.PublicURL, "https://user:canary@links.contoso.com", false},
		{config.PublicURL, "links.contoso.com", false},
		{config.PublicURL, "https://*.contoso.com", false},
		{config.Seal, "seal", true},
		{config.Seal, "contoso/seal", false},
		{config.Seal, "canary_", false},
		{config.Seal, strings.Repeat("s", 128), false},
		{config.SmartKey, "k", true},
		{config.SmartKey, strings.Repeat("k", 127), true},
		{config.SmartKey, strings.Repeat("k", 128), false},
		{config.SmartKey, "canary_", false},
		{config.SmartKey, "canary/0123456789abcdef", false},
		{config.SmartKey, "https://contoso.vault.azure.net/keys/canary", false},
		{config.SmartTable, "s2m", true},
		{config.SmartTable, "linksOfSmart", true},
		{config.SmartTable, "s" + strings.Repeat("2", 62), true},
		{config.SmartTable, "s" + strings.Repeat("2", 63), false},
		{config.SmartTable, "sm", false},
		{config.SmartTable, "2canary", false},
		{config.SmartTable, "canary-2", false},
		{config.SmartTable, "smärt", false},
		{config.SmartTable, "links", false},
		{config.SmartTable, "Links", false},
		{config.SmartTable, "Tables", false},
		{config.ServiceName, "Contoso “Links” <1>", true},
		{config.ServiceName, strings.Repeat("ä", 60), true},
		{config.ServiceName, strings.Repeat("ä", 61), false},
		{config.ServiceName, "canary\nX", false},
		{config.ServiceName, "canary\u202e", false},
		{config.ServiceName, "canary\xff", false},
		{config.Support, "https://contoso.com/help?topic=links", true},
		{config.Support, "mailto:help@contoso.com?subject=fhirlink", true},
		{config.Support, "help@contoso.com", false},
		{config.Support, "mailto:canary", false},
		{config.Support, "mailto:", false},
		{config.Support, "mailto:Help%20%3Chelp@contoso.com%3E", false},
		{config.Support, "http://contoso.com/help", false},
		{config.Support, "https://", false},
		{config.Support, "https://user:canary@contoso.com", false},
		{config.Support, "javascript:alert(1)", false},
		{config.Support, "/help", false},
		{config.PrivacyURL, "https://contoso.com/privacy", true},
		{config.PrivacyURL, "mailto:privacy@contoso.com", false},
		{config.PrivacyURL, "http://contoso.com/privacy", false},
		{config.PrivacyURL, "canary", false},
		{config.MaxLinks, "0", false},
		{config.MaxLinks, "-1", false},
		{config.MaxLinks, "1.5", false},
		{config.MaxLinks, "many", false},
		{config.TrailDays, "29", false},
		{config.TrailDays, "30", true},
		{config.TrailDays, "3650", true},
		{config.TrailDays, "3651", false},
		{config.TrailDays, "400d", false},
		{config.ClientID, "canary", false},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			_, err := config.FromEnv(env(map[string]string{tt.name: tt.value}))
			if tt.good {
				if err != nil {
					t.Error(err)
				}
				return
			}
			problems := config.Problems(err)
			named := slices.ContainsFunc(problems, func(p *config.Problem) bool {
				return p.Name == tt.name || tt.name == config.TableConnectionString && strings.Contains(p.Message, tt.name)
			})
			if len(problems) != 1 || !named {
				t.Errorf("problems = %v", problems)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	_, err := config.FromEnv(none)
	var names []string
	for _, p := range config.Problems(err) {
		names = append(names, p.Name)
	}
	if want := []string{config.KeyVaultURL, config.TableEndpoint, config.APIAudience, config.AllowedTenants}; !slices.Equal(names, want) {
		t.Errorf("problems of %q, want %q", names, want)
	}
	if got, err := config.Local(none); err != nil || got.MaxLinks != 500 || got.Authority == "" {
		t.Errorf("Local needs something: %+v, %v", got, err)
	}
	_, err = config.Local(func(string) (string, bool) { return "#", true })
	if got := len(config.Problems(err)); got < 8 {
		t.Errorf("Local reports %d problems of nonsense everywhere: %v", got, err)
	}
}

// No value of a setting appears in an error or in a printed Config.
func TestNoValueIsPrinted(t *testing.T) {
	_, err := config.FromEnv(env(map[string]string{
		config.TableEndpoint:         "https://canary:canary@x?sig=canary",
		config.TableConnectionString: "AccountName=canary;AccountKey",
		config.KeyVaultURL:           "https://canary.example/canary",
		config.CORSOrigins:           "https://canary/canary",
		config.MaxLinks:              "canary",
		config.SmartKey:              "canary/canary",
		config.SmartTable:            "canary-canary",
	}))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("err = %v", err)
	}
	got, err := config.FromEnv(env(map[string]string{config.TableEndpoint: "", config.TableConnectionString: account}))
	if err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v", got, got, got), "Y2FuYXJ5") {
		t.Errorf("the account key is printed: %+v, %v", got, err)
	}
}

// TestPublicURLNeedsAClientID: who signs in on a page does so to a client id.
func TestPublicURLNeedsAClientID(t *testing.T) {
	settings := map[string]string{config.PublicURL: "https://links.contoso.com", config.APIAudience: "api://fhirlink"}
	_, err := config.FromEnv(env(settings))
	if got := config.Problems(err); len(got) != 1 || got[0].Name != config.APIAudience || !strings.Contains(got[0].Message, "client id") {
		t.Errorf("problems %v", got)
	}
	settings[config.APIAudience] += "," + tenantA
	if _, err := config.FromEnv(env(settings)); err != nil {
		t.Error(err)
	}
}

func TestProblemsOfAnotherError(t *testing.T) {
	if got := config.Problems(fmt.Errorf("x")); got != nil {
		t.Errorf("%v", got)
	}
	if got := config.Problems(nil); got != nil {
		t.Errorf("%v", got)
	}
}
