package config_test

import (
	"testing"

	"fhirlink/shared/config"
)

func TestPageSettings(t *testing.T) {
	got, err := config.FromEnv(env(map[string]string{
		config.Seal: "contoso-seal-2", config.ServiceName: " Contoso Connect – Klinik ", config.Support: "mailto:help@contoso.com", config.PrivacyURL: "https://contoso.com/privacy?lang=en#links",
	}))
	if err != nil || got.Seal != "contoso-seal-2" || got.SealIn() != "contoso/contoso-seal-2" || got.ServiceName != "Contoso Connect – Klinik" ||
		got.Support != "mailto:help@contoso.com" || got.PrivacyURL != "https://contoso.com/privacy?lang=en#links" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = config.Local(func(string) (string, bool) { return "", false })
	if err != nil || got.Seal != "fhirlink-seal" || got.SealIn() != "fhirlink-seal" || got.ServiceName != "fhirlink" || got.Support != "" || got.PrivacyURL != "" {
		t.Errorf("%+v, %v", got, err)
	}
	two, err := config.FromEnv(env(map[string]string{config.KeyVaultURL: "new=https://kv2.vault.azure.net,old=https://kv1.vault.azure.net"}))
	if err != nil || two.SealIn() != "new/fhirlink-seal" {
		t.Errorf("%s, %v", two.SealIn(), err)
	}
}

func TestSignInClient(t *testing.T) {
	for audiences, want := range map[string]string{"api://fhirlink," + tenantB + "," + tenantA: tenantB, tenantA: tenantA, "api://fhirlink": ""} {
		got, err := config.FromEnv(env(map[string]string{config.APIAudience: audiences}))
		if err != nil || got.SignInClient() != want {
			t.Errorf("%s: %s, %v", audiences, got.SignInClient(), err)
		}
	}
}
