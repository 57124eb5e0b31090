package infra_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/config"
)

// TestVaultsSetting parses, as the program does, what Bicep writes into FHIRLINK_KEY_VAULT_URL.
func TestVaultsSetting(t *testing.T) {
	main := read(t, "main.bicep")
	app, _ := find(main.modules, "app")
	if got := app.body.at("params", "keyVaultUrl").text; got != "vaultUrls" || appSettings(t).at("FHIRLINK_KEY_VAULT_URL").text != "keyVaultUrl" {
		t.Fatalf("main.bicep gives modules/app.bicep %s for the setting", got)
	}
	param, _ := find(main.params, "vaults")
	var usual []vault
	for _, v := range param.body.array {
		usual = append(usual, vault{v.at("name").literal(), v.at("generation").text})
	}
	for _, vaults := range [][]vault{usual, {{"b", "2"}, {"a", "1"}}} {
		var want []config.Vault
		for _, v := range vaults {
			want = append(want, config.Vault{Name: v.name, URL: "https://" + v.keyVault(t, main) + ".vault.azure.net"})
		}
		text := vaultsSetting(t, main, vaults)
		if got := readSetting(t, text); !slices.Equal(got, want) {
			t.Errorf("%s\nis read as %+v, want %+v", text, got, want)
		}
	}
}

// The commands for AWS name the vault as the templates do, because both programs share the
// links.
func TestVaultIsCalledTheSameOnAWS(t *testing.T) {
	param, _ := find(read(t, "main.bicep").params, "vaults")
	name := param.body.array[0].at("name").literal()
	if readme := contents(t, filepath.Join("aws", "README.md")); !strings.Contains(readme, `"FHIRLINK_KEY_VAULT_URL": "`+name+`=https://$vault.vault.azure.net"`) {
		t.Errorf("aws/README.md does not call the vault %q", name)
	}
}

// vault is an element of the parameter vaults.
type vault struct{ name, generation string }

// keyVault returns the name of the Key Vault that main.bicep makes.
func (v vault) keyVault(t *testing.T, main template) string {
	t.Helper()
	made, _ := find(main.modules, "keyVaults")
	return evaluate(t, main, map[string]string{"generation": v.generation}, made.body.at("params", "name").text)
}

// vaultsSetting returns the value of the variable vaultUrls for these vaults.
func vaultsSetting(t *testing.T, main template, vaults []vault) string {
	t.Helper()
	m := regexp.MustCompile(`^join\(\s*map\(vaults, vault => ('[^']+')\),\s*','\s*\)$`).FindStringSubmatch(main.vars["vaultUrls"].text)
	if m == nil {
		t.Fatalf("this test cannot evaluate vaultUrls: %s", main.vars["vaultUrls"].text)
	}
	var entries []string
	for _, v := range vaults {
		entries = append(entries, evaluate(t, main, map[string]string{
			"vault.name": v.name, "vault.generation": v.generation, "environment().suffixes.keyvaultDns": ".vault.azure.net",
		}, m[1]))
	}
	return strings.Join(entries, ",")
}

func readSetting(t *testing.T, text string) []config.Vault {
	t.Helper()
	c, err := config.FromEnv(func(name string) (string, bool) {
		value, ok := map[string]string{
			config.KeyVaultURL: text, config.TableEndpoint: "https://contoso.table.core.windows.net",
			config.APIAudience: "66666666-6666-4666-8666-666666666666", config.AllowedTenants: "*",
		}[name]
		return value, ok
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c.Vaults
}

// TestEveryVault: every vault is made before the app uses it, and is watched while it serves.
func TestEveryVault(t *testing.T) {
	main, keeper, alerts := read(t, "main.bicep"), read(t, "modules/vault.bicep"), read(t, "modules/vault-alerts.bicep")
	made, _ := find(main.modules, "keyVaults")
	watched, _ := find(main.modules, "vaultAlerts")
	app, _ := find(main.modules, "app")
	topic := resource(t, keeper, "Microsoft.EventGrid/systemTopics")
	for _, tt := range []struct{ what, got, want string }{
		{"vaults made", loop(made), "generation in generations"},
		{"generations", main.vars["generations"].text, "concat(map(vaults, vault => vault.generation), spareVaults)"}, // vaults that serve come first
		{"vaults watched", loop(watched), "(vault, i) in vaults"},
		{"vault that is watched", watched.body.at("params", "vaultId").text, "keyVaults[i].outputs.id"},
		{"name that it is watched by", watched.body.at("params", "vaultName").text, "vault.name"},
		{"who is told", watched.body.at("params", "actions").text, "alerts.outputs.actions"},
		{"the app waits for", strings.Join(strings.Fields(app.body.at("dependsOn").text), " "), "[ keyVaults signingKey ]"},
		{"vault of the mail server's password", app.body.at("params", "firstVaultUrl").text, "keyVaults[0].outputs.url"},
		{"source of the vault's events", topic.body.at("properties", "source").text, "vault.id"},
		{"vaults with events", made.body.at("params", "eventTopic").text, "eventGridTopic"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	for _, r := range alerts.resources {
		if scopes := r.body.at("properties", "scopes").array; len(scopes) != 1 || scopes[0].text != "vaultId" {
			t.Errorf("the alert %s is about %+v", r.name, scopes)
		}
	}
}

// loop returns the expression that a module is repeated for.
func loop(m declaration) string {
	found := regexp.MustCompile(`= \[\s*for ([^:]+):`).FindStringSubmatch(m.text)
	if found == nil {
		return ""
	}
	return found[1]
}
