package config_test

import (
	"testing"

	"fhirlink/shared/config"
)

func TestSmartSettings(t *testing.T) {
	got, err := config.FromEnv(env(map[string]string{config.SmartKey: " Contoso-smart-2 ", config.SmartTable: "ContosoSmart2"}))
	if err != nil || got.SmartKey != "Contoso-smart-2" || got.SmartTable != "ContosoSmart2" {
		t.Errorf("%q, %q, %v", got.SmartKey, got.SmartTable, err)
	}
	got, err = config.Local(func(string) (string, bool) { return "", false })
	if err != nil || got.SmartKey != "fhirlink-smart" || got.SmartTable != "smart" {
		t.Errorf("%q, %q, %v", got.SmartKey, got.SmartTable, err)
	}
}
