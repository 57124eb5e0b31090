// A first deployment. azd sets the AZURE_ variables itself; set the others with
// `azd env set NAME value`, or export them before `az deployment sub create`.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'fhirlink')
param location = readEnvironmentVariable('AZURE_LOCATION', 'northeurope')

// Printed by register-api.sh.
param apiAudience = readEnvironmentVariable('FHIRLINK_API_AUDIENCE')

// The organizations that may call. There is no default on purpose: who may call is a decision.
param allowedTenants = readEnvironmentVariable('FHIRLINK_ALLOWED_TENANTS')
param operatorTenant = readEnvironmentVariable('FHIRLINK_OPERATOR_TENANT', '')

param alertEmail = readEnvironmentVariable('FHIRLINK_ALERT_EMAIL', '')
