// The function app: Flex Consumption, runtime custom. It starts the program that make dist stages.
// Its settings are those of settings.md, and what the Functions host needs.

@description('Name of the function app: unique in all of Azure, and at most 32 characters, because the host tells apps apart by their first 32.')
@maxLength(32)
param name string

@description('Name of the plan.')
param planName string

@description('Name of the user-assigned identity that the app runs as.')
param identityName string

@description('Name of the Application Insights component.')
param insightsName string

@description('Name of the storage account.')
param storageName string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Subnet of a private deployment. Empty: none.')
param subnetId string

@description('Memory of one instance in MB.')
param instanceMemoryMB int

@description('Most instances that requests may be spread over.')
param maximumInstanceCount int

@description('Requests that one instance works on at a time before another is started.')
param httpConcurrency int

@description('Instances that are kept running for requests.')
param alwaysReadyInstances int

@description('FHIRLINK_KEY_VAULT_URL: the vaults that serve.')
param keyVaultUrl string

@description('Where the first of these vaults answers, with a slash at the end.')
param firstVaultUrl string

@description('FHIRLINK_AUTHORITY_HOST.')
param authorityHost string

@description('FHIRLINK_API_AUDIENCE.')
param apiAudience string

@description('FHIRLINK_ALLOWED_TENANTS.')
param allowedTenants string

@description('FHIRLINK_OPERATOR_TENANT.')
param operatorTenant string

@description('FHIRLINK_CORS_ORIGINS.')
param corsOrigins string

@description('FHIRLINK_EGRESS_ALLOW.')
param egressAllow string

@description('FHIRLINK_PUBLIC_URL.')
param publicUrl string

@description('FHIRLINK_SEAL.')
param sealName string

@description('FHIRLINK_SMART_KEY.')
param smartKeyName string

@description('FHIRLINK_SMART_TABLE.')
param smartTableName string

@description('FHIRLINK_SERVICE_NAME.')
param serviceName string

@description('FHIRLINK_SUPPORT.')
param support string

@description('FHIRLINK_PRIVACY_URL.')
param privacyUrl string

@description('FHIRLINK_MAX_LINKS.')
param maxLinks int

@description('FHIRLINK_TRAIL_DAYS.')
param trailDays int

@description('FHIRLINK_SCOPE_ALIASES.')
param scopeAliases object

@description('FHIRLINK_EXPIRY_THRESHOLDS.')
param expiryThresholds string

@description('FHIRLINK_EVENTGRID_ENDPOINT.')
param eventGridEndpoint string

@description('FHIRLINK_SMTP_HOST.')
param smtpHost string

@description('FHIRLINK_SMTP_PORT; used with a host only.')
param smtpPort int

@description('FHIRLINK_SMTP_USERNAME.')
param smtpUsername string

@description('Name of the secret in the first vault which holds FHIRLINK_SMTP_PASSWORD. Empty: none.')
param smtpPasswordSecretName string

@description('FHIRLINK_MAIL_FROM.')
param mailFrom string

@description('FHIRLINK_SECRET_EXPIRY_SCHEDULE.')
#disable-next-line secure-secrets-in-params // it says when the timer runs, and is no secret
param secretExpirySchedule string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true // Linux
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}packages'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'http'
                instanceCount: alwaysReadyInstances
              }
            ]
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      cors: {
        allowedOrigins: [] // the program answers preflights itself; the platform must not
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    // Settings of the program.
    FHIRLINK_KEY_VAULT_URL: keyVaultUrl
    FHIRLINK_TABLE_ENDPOINT: storage.properties.primaryEndpoints.table
    FHIRLINK_AUTHORITY_HOST: authorityHost
    FHIRLINK_API_AUDIENCE: apiAudience
    FHIRLINK_ALLOWED_TENANTS: allowedTenants
    FHIRLINK_OPERATOR_TENANT: operatorTenant
    FHIRLINK_CORS_ORIGINS: corsOrigins
    FHIRLINK_EGRESS_ALLOW: egressAllow
    FHIRLINK_PUBLIC_URL: publicUrl
    FHIRLINK_SEAL: sealName
    FHIRLINK_SMART_KEY: smartKeyName
    FHIRLINK_SMART_TABLE: smartTableName
    FHIRLINK_SERVICE_NAME: serviceName
    FHIRLINK_SUPPORT: support
    FHIRLINK_PRIVACY_URL: privacyUrl
    FHIRLINK_MAX_LINKS: string(maxLinks)
    FHIRLINK_TRAIL_DAYS: string(trailDays)
    FHIRLINK_SCOPE_ALIASES: empty(scopeAliases) ? '' : string(scopeAliases)
    FHIRLINK_EXPIRY_THRESHOLDS: expiryThresholds
    FHIRLINK_EVENTGRID_ENDPOINT: eventGridEndpoint
    FHIRLINK_SMTP_HOST: smtpHost
    FHIRLINK_SMTP_PORT: empty(smtpHost) ? '' : string(smtpPort) // the program refuses a port without a host
    FHIRLINK_SMTP_USERNAME: smtpUsername
    FHIRLINK_SMTP_PASSWORD: empty(smtpPasswordSecretName)
      ? ''
      : '@Microsoft.KeyVault(SecretUri=${firstVaultUrl}secrets/${smtpPasswordSecretName})'
    FHIRLINK_MAIL_FROM: mailFrom
    AZURE_CLIENT_ID: identity.properties.clientId

    // secret-expiry/function.json names it; the program never reads it.
    FHIRLINK_SECRET_EXPIRY_SCHEDULE: secretExpirySchedule

    // Settings of the Functions host. This plan does not allow FUNCTIONS_WORKER_RUNTIME.
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AzureWebJobsStorage__accountName: storage.name // some hosts fail to start with the address alone (azure-functions-host issue 11787)
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    AzureWebJobsFeatureFlags: 'DisableDiagnosticEventLogging' // the host would keep its events in a table, on which the identity has no role
    AzureWebJobsDisableHomepage: 'true' // else / is a page that advertises the host
  }
}

// Publishing needs an Entra sign-in; the site has no publishing password. A new site accepts one
// change at a time and answers 409 to others, so the settings and these two wait for each other.
resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
  dependsOn: [
    settings
  ]
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
  dependsOn: [
    noScmPassword
  ]
}

@description('Name of the function app.')
output name string = app.name

@description('Where the API answers.')
output url string = 'https://${app.properties.defaultHostName}'
