package infra_test

import (
	"strings"
	"testing"

	"fhirlink/shared/config"
)

// TestSigningKey: the first vault, and no other, has a key that can sign and verify only. It gets new
// versions by itself, and none of them expires, because old ones must stay published.
func TestSigningKey(t *testing.T) {
	main, module := read(t, "main.bicep"), read(t, "modules/signing-key.bicep")
	made, _ := find(main.modules, "signingKey")
	vault, _ := find(module.resources, "vault")
	key, _ := find(module.resources, "key")
	maySign, _ := find(module.resources, "maySign")
	properties := key.body.at("properties")
	for _, tt := range []struct{ what, got, want string }{
		{"repeated for", loop(made), ""},
		{"vault", made.body.at("params", "vaultName").text, "keyVaults[0].outputs.name"},
		{"name of the vault", vault.body.at("name").text, "vaultName"},
		{"parent", key.body.at("parent").text, "vault"},
		{"name", key.body.at("name").text, "name"},
		{"kind", properties.at("kty").literal(), "RSA"},
		{"bits", properties.at("keySize").text, "2048"},
		{"operations", properties.at("keyOps").text, "[ 'sign' 'verify' ]"},
		{"rotation", properties.at("rotationPolicy").text, "{ lifetimeActions: [ { action: { type: 'rotate' } trigger: { timeAfterCreate: 'P180D' } } ] }"},
		{"attributes, such as an end", properties.at("attributes").text, ""},
		{"scope of the role", maySign.body.at("scope").text, "key"},
	} {
		if got := strings.Join(strings.Fields(tt.got), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	// The commands for AWS make the same key.
	for _, want := range []string{"--name " + config.DefaultSmartKey + " --kty RSA --size 2048 --ops sign verify", `"timeAfterCreate": "P180D"`, "az storage table create --account-name \"$account\" --name " + config.DefaultSmartTable + " "} {
		if !strings.Contains(contents(t, "aws/README.md"), want) {
			t.Errorf("aws/README.md lacks %q", want)
		}
	}
	for _, tmpl := range templates(t) {
		for _, r := range tmpl.resources {
			if typeOf(r) == "Microsoft.KeyVault/vaults/keys" && tmpl.file != module.file {
				t.Errorf("%s makes a key too: %s", tmpl.file, r.name)
			}
		}
	}
}

// TestSmartTable: the table of SMART authorization has a role of its own, beside that of links.
func TestSmartTable(t *testing.T) {
	storage := read(t, "modules/storage.bicep")
	table, _ := find(storage.resources, "smart")
	role, _ := find(storage.resources, "mayUseSmart")
	links, _ := find(storage.resources, "mayUseLinks")
	if table.body.at("parent").text != "tables" || table.body.at("name").text != "smartTableName" || role.body.at("scope").text != "smart" ||
		role.body.at("properties", "roleDefinitionId").text != links.body.at("properties", "roleDefinitionId").text {
		t.Errorf("%s\n%s", table.text, role.text)
	}
}
