// fhirlink on Azure: one resource group with everything that cmd/azure needs. README.md beside this
// file says how to deploy it, what it costs, and what to do about an alert.
targetScope = 'subscription'

@description('Name of this deployment, e.g. prod or test. Part of the resource group\'s name and of what makes global names unique; azd passes AZURE_ENV_NAME.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region of every resource, e.g. northeurope. It must offer the Flex Consumption plan, and the replication of storageSku.')
param location string

@description('Resource group to create. Empty: rg-<environmentName>.')
@maxLength(90)
param resourceGroupName string = ''

@description('FHIRLINK_API_AUDIENCE: client id of the API\'s app registration, which register-api.sh prints. Callers\' tokens must carry it as aud. A comma-separated list is allowed.')
@minLength(1)
param apiAudience string

@description('FHIRLINK_ALLOWED_TENANTS: comma-separated ids of the tenants whose members may call, or * for every organization\'s tenant.')
@minLength(1)
param allowedTenants string

@description('FHIRLINK_OPERATOR_TENANT: id of the tenant of the vendor that runs this. Its applications with the role Links.Token.All may get tokens for every link. Empty: none may.')
param operatorTenant string = ''

@description('FHIRLINK_AUTHORITY_HOST: the one host that client secrets are ever sent to. The default is the authority of the Azure cloud that this is deployed to.')
param authorityHost string = environment().authentication.loginEndpoint

@description('FHIRLINK_CORS_ORIGINS: comma-separated exact origins of web front ends, e.g. https://app.contoso.com. Empty: none. The program answers preflights itself.')
param corsOrigins string = ''

@description('FHIRLINK_EGRESS_ALLOW: comma-separated networks, e.g. 10.1.0.0/16, in which FHIR servers may be reached although they are not public. Empty: none.')
param egressAllow string = ''

@description('FHIRLINK_PUBLIC_URL: the origin under which browsers reach this deployment, e.g. https://links.contoso.com, without a path. Empty: none.')
param publicUrl string = ''

@description('FHIRLINK_SEAL: name of the secret in the first vault that serves whose versions seal what browsers keep, such as sessions. The program makes the first version. Empty: fhirlink-seal.')
param sealName string = ''

@description('FHIRLINK_SMART_KEY: name of the key in the first vault that serves which signs the tokens of SMART authorization. A deployment makes it if there is none. With another name, FHIR servers refuse new tokens until they have read the new key (README: the signing key of SMART authorization).')
@minLength(1)
@maxLength(127)
param smartKeyName string = 'fhirlink-smart'

@description('FHIRLINK_SMART_TABLE: name of the table of SMART authorization, in the storage account of the table of links: letters and digits, neither links nor tables. With another name, SMART authorization starts anew, without apps and grants.')
@minLength(3)
@maxLength(63)
param smartTableName string = 'smart'

@description('FHIRLINK_SERVICE_NAME: what the pages call this service. Empty: fhirlink.')
@maxLength(60)
param serviceName string = ''

@description('FHIRLINK_SUPPORT: mailto: or https link to help, at the foot of every page. Empty: none.')
param support string = ''

@description('FHIRLINK_PRIVACY_URL: https link to the privacy statement, at the foot of every page. Empty: none.')
param privacyUrl string = ''

@description('FHIRLINK_MAX_LINKS: how many links an organization may have.')
@minValue(1)
param maxLinks int = 500

@description('FHIRLINK_TRAIL_DAYS: how many days the events of the audit trail are kept.')
@minValue(30)
@maxValue(3650)
param trailDays int = 400

@description('FHIRLINK_SCOPE_ALIASES: short names that translate-scope gives to SMART scopes which Entra cannot hold, as {"<scope>": "<alias>"}. Empty: none.')
param scopeAliases object = {}

@description('FHIRLINK_EXPIRY_THRESHOLDS: comma-separated days, 0 to 731, before a client secret\'s end at which its organization is told. Empty: 60,30,14,7,3,1,0.')
param expiryThresholds string = ''

@description('FHIRLINK_EVENTGRID_ENDPOINT: endpoint of an Event Grid custom topic (schema CloudEvents 1.0) made elsewhere, on which the app\'s identity has the role EventGrid Data Sender. Empty: none. Not used with eventGridCustomTopic.')
param eventGridEndpoint string = ''

@description('FHIRLINK_SMTP_HOST: name of the mail server for the daily digests, e.g. smtp.contoso.com. Empty: no mail; then leave smtpUsername, smtpPasswordSecretName and mailFrom empty too.')
param smtpHost string = ''

@description('FHIRLINK_SMTP_PORT: 587 (STARTTLS) or 465 (TLS). Used with smtpHost only. Azure blocks port 25 in most subscriptions.')
@minValue(1)
@maxValue(65535)
param smtpPort int = 587

@description('FHIRLINK_SMTP_USERNAME: who the program signs in as at the mail server; together with smtpPasswordSecretName. Empty: it does not sign in.')
param smtpUsername string = ''

@description('FHIRLINK_SMTP_PASSWORD: name of the secret with that user\'s password, in the first vault that serves. The app gets a Key Vault reference to it, so no deployment sees the password. Not with privateNetwork: Flex Consumption resolves no references into a closed vault. Empty: none.')
@maxLength(127)
param smtpPasswordSecretName string = ''

@description('FHIRLINK_MAIL_FROM: sender of the digests, e.g. fhirlink@contoso.com. Needed with smtpHost.')
param mailFrom string = ''

@description('FHIRLINK_SECRET_EXPIRY_SCHEDULE: NCRONTAB in UTC of the timer that looks after secrets and links. The alert on its heartbeat expects at least one run an hour.')
#disable-next-line secure-secrets-in-params // it says when the timer runs, and is no secret
param secretExpirySchedule string = '0 * * * * *'

@description('Which Key Vault of this deployment: one digit, because names of vaults have 24 characters at most.')
type vaultNumber = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

@description('A vault that serves: what links call it, and which Key Vault that is.')
type servingVault = {
  @minLength(1)
  @maxLength(24)
  name: string
  generation: vaultNumber
}

@description('What links call each vault that serves, and which Key Vault of this deployment that is. The first keeps new secrets (README: when one vault is not enough). Names match ^[a-z0-9](-?[a-z0-9])*$ and stay what they are.')
@minLength(1)
param vaults servingVault[] = [
  {
    name: 'a'
    generation: 1
  }
]

@description('Numbers of further Key Vaults, which are made but do not serve: while secrets move from one to another (README: rotate the vault).')
param spareVaults vaultNumber[] = []

@description('recover brings back vaults that were deleted less than 90 days ago, if all of this deployment were; their names cannot be used again until then.')
@allowed([
  'default'
  'recover'
])
param vaultCreateMode string = 'default'

@description('Replication of the storage account. The default survives the loss of a datacentre; Standard_GZRS that of a region too, Standard_LRS neither.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_ZRS'

@description('Memory of one instance in MB. The program itself needs about 30 MB at rest and 120 MB more for full caches.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 512

@description('Most instances that requests may be spread over.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Requests that one instance works on at a time before another is started. They wait for Entra and for FHIR servers most of the time, so many fit.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 100

@description('Instances that are kept running for requests, so that none waits for a start. 0: none, and nothing to pay without calls.')
@minValue(0)
param alwaysReadyInstances int = 0

@description('true: storage and vaults are reached through private endpoints only, and the function app joins a virtual network. The API itself stays public.')
param privateNetwork bool = false

@description('Address space of the virtual network, /23 or larger; used with privateNetwork only.')
param networkAddressSpace string = '10.40.0.0/23'

@description('true: the network gets a NAT gateway, through which the app reaches Entra and FHIR servers on the internet, from one public address. false: the network has another way out, such as a firewall that you add. Used with privateNetwork only.')
param natGateway bool = true

@description('true: an Event Grid topic for each vault carries its own near-expiry and expiry events to its subscribers.')
param eventGridTopic bool = false

@description('true: an Event Grid custom topic (schema CloudEvents 1.0) of this deployment carries what the program publishes about every organization\'s links; the app gets its endpoint and the role EventGrid Data Sender on it.')
param eventGridCustomTopic bool = false

@description('Address that alerts are mailed to. Empty: alerts show in the portal only.')
param alertEmail string = ''

@description('How many days logs are kept, the audit logs of the vaults among them.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('true: locks keep storage and vaults from being deleted by mistake. Remove the locks before azd down.')
param protectFromDeletion bool = true

@description('Tags on every resource.')
param tags object = {}

var token = uniqueString(subscription().id, environmentName, location)
var allTags = union(tags, {
  'azd-env-name': environmentName
})
var names = {
  app: 'func-fhirlink-${token}'
  plan: 'plan-fhirlink-${token}'
  identity: 'id-fhirlink-${token}'
  insights: 'appi-fhirlink-${token}'
  workspace: 'log-fhirlink-${token}'
  storage: 'stfhirlink${token}'
  vault: 'fhirlink${token}' // after kv and the generation's digit
  network: 'vnet-fhirlink-${token}'
  natGateway: 'ng-fhirlink-${token}'
  natAddress: 'pip-fhirlink-${token}'
  customTopic: 'evgt-fhirlink-${token}'
  alerts: 'fhirlink'
}

// Vaults that serve come first; modules below rely on the order.
var generations = concat(map(vaults, vault => vault.generation), spareVaults)

// Built here because a lambda cannot read the outputs of a module loop.
var vaultUrls = join(
  map(vaults, vault => '${vault.name}=https://kv${vault.generation}${names.vault}${environment().suffixes.keyvaultDns}'),
  ','
)

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
  location: location
  tags: allTags
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: names.workspace
    insightsName: names.insights
    identityName: names.identity
    location: location
    tags: allTags
    retentionDays: logRetentionDays
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: names.network
    location: location
    tags: allTags
    addressSpace: networkAddressSpace
    natGateway: natGateway
    natGatewayName: names.natGateway
    natAddressName: names.natAddress
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: names.storage
    location: location
    tags: allTags
    sku: storageSku
    principalId: monitoring.outputs.principalId
    smartTableName: smartTableName
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    blobZoneId: network.?outputs.blobZoneId ?? ''
    tableZoneId: network.?outputs.tableZoneId ?? ''
    lock: protectFromDeletion
  }
}

module keyVaults 'modules/vault.bicep' = [
  for generation in generations: {
    name: 'vault-${generation}'
    scope: group
    params: {
      name: 'kv${generation}${names.vault}'
      location: location
      tags: allTags
      createMode: vaultCreateMode
      principalId: monitoring.outputs.principalId
      workspaceId: monitoring.outputs.workspaceId
      endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
      zoneId: network.?outputs.vaultZoneId ?? ''
      eventTopic: eventGridTopic
      lock: protectFromDeletion
    }
  }
]

// One key for the whole deployment; the program looks for it in the first vault.
module signingKey 'modules/signing-key.bicep' = {
  name: 'signing-key'
  scope: group
  params: {
    name: smartKeyName
    vaultName: keyVaults[0].outputs.name
    tags: allTags
    principalId: monitoring.outputs.principalId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: names.app
    planName: names.plan
    identityName: names.identity
    insightsName: monitoring.outputs.insightsName
    storageName: storage.outputs.name
    location: location
    tags: allTags
    subnetId: network.?outputs.appSubnetId ?? ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyInstances: alwaysReadyInstances
    keyVaultUrl: vaultUrls
    firstVaultUrl: keyVaults[0].outputs.url
    authorityHost: authorityHost
    apiAudience: apiAudience
    allowedTenants: allowedTenants
    operatorTenant: operatorTenant
    corsOrigins: corsOrigins
    egressAllow: egressAllow
    publicUrl: publicUrl
    sealName: sealName
    smartKeyName: smartKeyName
    smartTableName: smartTableName
    serviceName: serviceName
    support: support
    privacyUrl: privacyUrl
    maxLinks: maxLinks
    trailDays: trailDays
    scopeAliases: scopeAliases
    expiryThresholds: expiryThresholds
    eventGridEndpoint: eventGridCustomTopic ? (events.?outputs.endpoint ?? '') : eventGridEndpoint
    smtpHost: smtpHost
    smtpPort: smtpPort
    smtpUsername: smtpUsername
    smtpPasswordSecretName: smtpPasswordSecretName
    mailFrom: mailFrom
    secretExpirySchedule: secretExpirySchedule
  }
  dependsOn: [
    keyVaults
    signingKey
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    prefix: names.alerts
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    storageId: storage.outputs.id
    email: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vaultAlerts 'modules/vault-alerts.bicep' = [
  for (vault, i) in vaults: {
    name: 'vault-alerts-${vault.name}'
    scope: group
    params: {
      prefix: names.alerts
      vaultName: vault.name
      vaultId: keyVaults[i].outputs.id
      actions: alerts.outputs.actions
      tags: allTags
    }
  }
]

module events 'modules/events.bicep' = if (eventGridCustomTopic) {
  name: 'events'
  scope: group
  params: {
    customTopicName: names.customTopic
    principalId: monitoring.outputs.principalId
    location: location
    tags: allTags
  }
}

@description('Resource group that holds everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Function app to publish the code to.')
output AZURE_FUNCTION_APP_NAME string = app.outputs.name

@description('Where the API answers.')
output FHIRLINK_API_URL string = app.outputs.url

@description('Where administrators link their servers. Empty without publicUrl.')
output pageUrl string = empty(publicUrl) ? '' : '${publicUrl}/api/manage/'

@description('Vault that keeps new secrets.')
output AZURE_KEY_VAULT_NAME string = keyVaults[0].outputs.name
