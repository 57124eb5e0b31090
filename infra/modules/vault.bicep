// One Key Vault with client secrets of links, and the audit log of who read them.

@description('Name of the vault: 3 to 24 letters, digits and hyphens, unique in all of Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('default, or recover for a vault that was deleted less than 90 days ago.')
@allowed([
  'default'
  'recover'
])
param createMode string

@description('Object id of the identity that the function app runs as.')
param principalId string

@description('Log Analytics workspace that gets the audit log.')
param workspaceId string

@description('Subnet of the private endpoint. Empty: the vault is reached over its public endpoint.')
param endpointSubnetId string

@description('Private DNS zone of vault endpoints; used with a subnet only.')
param zoneId string

@description('true: an Event Grid system topic carries the vault\'s own events.')
param eventTopic bool

@description('true: a lock keeps the vault from being deleted.')
param lock bool

var isPrivate = !empty(endpointSubnetId)
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    createMode: createMode
    enableRbacAuthorization: true
    accessPolicies: []
    enableSoftDelete: true
    softDeleteRetentionInDays: 90 // as long as a deleted link keeps its slug
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

// Secrets User would be enough for tokens, but registering, changing and deleting links need the
// Officer. One process serves all functions, so it needs the larger role. The role includes purging,
// which purge protection forbids to all.
resource mayKeepSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, keyVaultSecretsOfficer)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated' // rows of AZKVAuditLogs, with columns of their own
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

// Subscriptions decide who gets the events: SecretNearExpiry comes 30 days before a client secret
// expires, SecretExpired when it does. A vault can have one topic only, which is named after it.
resource events 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (eventTopic) {
  name: 'evgst-${name}'
  location: location
  tags: tags
  properties: {
    source: vault.id
    topicType: 'Microsoft.KeyVault.vaults'
  }
}

resource undeletable 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'keep-secrets'
  scope: vault
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds client secrets of links of fhirlink. Remove this lock only to give the vault up.'
  }
}

module endpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-${name}'
  params: {
    name: 'pep-${name}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: vault.id
    groupId: 'vault'
    zoneId: zoneId
  }
}

@description('Resource id of the vault.')
output id string = vault.id

@description('Name of the vault.')
output name string = vault.name

@description('Where the vault answers.')
output url string = vault.properties.vaultUri
