package intake

import "fhirlink/shared/verification"

// fieldByCode names the field that most likely has to be corrected after a failed check, for the
// codes that point to one.
var fieldByCode = map[string]string{
	"aadsts_7000215": "clientSecret", "aadsts_7000216": "clientSecret", "aadsts_7000222": "clientSecret", "aadsts_7000218": "clientSecret",
	"aadsts_700024": "clientCertificate", "aadsts_700027": "clientCertificate", "aadsts_50012": "clientSecret",
	"aadsts_700016": "clientId", "aadsts_7000112": "clientId", "aadsts_7000229": "clientId", "token_appid": "clientId",
	"aadsts_90002": "tenantId", "aadsts_900023": "tenantId", "tenant_unknown": "tenantId", "tenant_conflict": "tenantId", "token_tid": "tenantId", "fhir_401_issuer": "tenantId",
	"aadsts_500011": "audience", "aadsts_1002012": "audience", "aadsts_70011": "audience", "token_aud": "audience", "fhir_401_audience": "audience", "audience_foreign": "audience",
}

// FieldOf names the field that a failed check is about; empty when it is about none, such as a
// role that is missing.
func FieldOf(failed verification.Check) string {
	if field := fieldByCode[failed.Code]; field != "" {
		return field
	}
	switch failed.ID {
	case verification.CheckAddress, verification.CheckMetadata, verification.CheckAuthority:
		return "fhirServerUrl"
	}
	return ""
}
