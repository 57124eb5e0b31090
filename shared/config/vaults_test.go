package config_test

import (
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/config"
)

func TestVaults(t *testing.T) {
	const a, b = "https://a.vault.azure.net", "https://b.vault.azure.net"
	for text, want := range map[string][]config.Vault{
		"https://contoso.vault.azure.net":         {{Name: "contoso", URL: "https://contoso.vault.azure.net"}},
		" https://Contoso.vault.azure.net/ ":      {{Name: "contoso", URL: "https://contoso.vault.azure.net"}},
		b + "," + a:                               {{Name: "b", URL: b}, {Name: "a", URL: a}},
		"a=" + b:                                  {{Name: "a", URL: b}},
		"new=" + b + "/, " + a + ",":              {{Name: "new", URL: b}, {Name: "a", URL: a}},
		"new = " + b:                              {{Name: "new", URL: b}},
		"two-2=" + a:                              {{Name: "two-2", URL: a}},
		strings.Repeat("n", 24) + "=" + a:         {{Name: strings.Repeat("n", 24), URL: a}},
		"https://127.0.0.1:8443":                  {{Name: "127-0-0-1", URL: "https://127.0.0.1:8443"}},
		"https://[::1]:8443":                      {{Name: "1", URL: "https://[::1]:8443"}},
		"https://a_b--c.example":                  {{Name: "a-b-c", URL: "https://a_b--c.example"}},
		"https://vault":                           {{Name: "vault", URL: "https://vault"}},
		"https://abcdefghijklmnopqrstuvw-xyz.net": {{Name: "abcdefghijklmnopqrstuvw", URL: "https://abcdefghijklmnopqrstuvw-xyz.net"}},
	} {
		got, err := config.FromEnv(env(map[string]string{config.KeyVaultURL: text}))
		if err != nil || !slices.Equal(got.Vaults, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got.Vaults, err, want)
		}
	}
}

// Every mistake gives the position of its entry, and none repeats its text.
func TestMistakesInVaults(t *testing.T) {
	const good = "canary=https://canary.vault.azure.net"
	for _, tt := range []struct {
		text string
		want []string // one for each problem
	}{
		{"canary", []string{"entry 1 is not an absolute URL"}},
		{"http://canary.vault.azure.net", []string{"entry 1 must be https"}},
		{good + ",https://b.vault.azure.net/secrets/canary", []string{"entry 2 must be https and name the vault only"}},
		{"=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{"Canary=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{"ca_nary=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{"canary-=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{"ca--nary=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{strings.Repeat("canary", 4) + "y=https://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one"}},
		{"Canary=http://canary.vault.azure.net", []string{"entry 1 has a name that cannot be one: use 1 to 24 lower-case letters, digits and single hyphens; and it must be https"}},
		{good + ",canary=https://b.vault.azure.net", []string{"entry 2 has the name of an entry before it"}},
		{good + ",https://Canary.example", []string{"entry 2 has the name of an entry before it"}},
		{good + ",b=https://Canary.vault.azure.net/", []string{"entry 2 is the vault of an entry before it"}},
		{good + ",b=https://canary.vault.azure.net:443", []string{"entry 2 is the vault of an entry before it"}},
		{"https://canary.vault.azure.net.", []string{"entry 1 has a dot at the end of its host"}},
		{",\t,", []string{"is set but has no entry"}},
		{good + ",," + good, []string{"entry 3 has the name of an entry before it: give it one of its own, as name=URL; and it is the vault of an entry before it"}},
		{"b=canary," + good + ",b=https://c.example,canary", []string{"entry 1 is not", "entry 3 has the name of an entry before it", "entry 4 is not"}},
		{"https://.canary", []string{"entry 1 has a host that gives it no name"}},
	} {
		_, err := config.FromEnv(env(map[string]string{config.KeyVaultURL: tt.text}))
		problems := config.Problems(err)
		if len(problems) != len(tt.want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		for i, p := range problems {
			if p.Name != config.KeyVaultURL || !strings.HasPrefix(p.Message, tt.want[i]) {
				t.Errorf("%s: %v, want %q", tt.text, p, tt.want[i])
			}
		}
	}
}
