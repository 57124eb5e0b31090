package entra_test

import (
	"testing"

	"fhirlink/shared/entra"
)

func TestIsOtherService(t *testing.T) {
	for _, audience := range []string{
		"https://graph.microsoft.com", "https://GRAPH.microsoft.com./", "https://management.azure.com/", "https://management.core.windows.net",
		"https://vault.azure.net", "https://contoso.vault.azure.net", "https://storage.azure.com", "https://account.blob.core.windows.net",
		"https://graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn", "https://outlook.office365.com", "https://contoso.sharepoint.com", "https://api.powerplatform.com", "https://adb-1.azuredatabricks.net",
		"00000003-0000-0000-c000-000000000000", "00000003-0000-0000-C000-000000000000", "api://797f4846-ba00-4fd7-ba43-dac1f8f63013",
	} {
		if !entra.IsOtherService(audience) {
			t.Errorf("%s is not recognized", audience)
		}
	}
	for _, audience := range []string{
		"https://ws-clinic.fhir.azurehealthcareapis.com", "https://azurehealthcareapis.com", "https://fhir.northeurope.cloudapp.azure.com",
		"https://contoso.onmicrosoft.com/fhir", "https://fhir.azurewebsites.net", "https://contoso.azure-api.net/fhir", "https://notmicrosoft.com",
		"api://fhir", "api://22222222-2222-4222-8222-222222222222", "22222222-2222-4222-8222-222222222222", "", "%",
	} {
		if entra.IsOtherService(audience) {
			t.Errorf("%s is taken for a service of Microsoft's", audience)
		}
	}
}
