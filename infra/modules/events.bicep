// Event Grid, for those who have it anyway; who gets the events is a subscription's matter. The
// system topic carries the vault's own: SecretNearExpiry comes 30 days before a client secret's
// end, SecretExpired at it. The custom topic carries what the program publishes.

@description('true: make the system topic.')
param vaultEvents bool

@description('Name of the system topic.')
param vaultTopicName string

@description('Resource id of the vault.')
param vaultId string

@description('true: make the custom topic.')
param programEvents bool

@description('Name of the custom topic: 3 to 50 letters, digits and hyphens, unique in its region.')
param customTopicName string

@description('Object id of the identity that the function app runs as, which publishes to the custom topic.')
param principalId string

@description('Azure region, the same as the vault\'s.')
param location string

@description('Tags on every resource.')
param tags object

var eventGridDataSender = 'd5a91429-5739-47e2-a06b-3470a27159e7'

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (vaultEvents) {
  name: vaultTopicName
  location: location
  tags: tags
  properties: {
    source: vaultId
    topicType: 'Microsoft.KeyVault.vaults'
  }
}

// Its endpoint is public, in a private deployment too: what keeps others out is the role.
resource custom 'Microsoft.EventGrid/topics@2025-02-15' = if (programEvents) {
  name: customTopicName
  location: location
  tags: tags
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource mayPublish 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (programEvents) {
  name: guid(custom.id, principalId, eventGridDataSender)
  scope: custom
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', eventGridDataSender)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('Where the program publishes to. Empty: there is no custom topic.')
output endpoint string = programEvents ? custom!.properties.endpoint : ''
