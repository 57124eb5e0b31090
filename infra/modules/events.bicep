// An Event Grid custom topic for the events that the program publishes. Subscriptions decide who gets
// them. vault.bicep has the topics for the vaults' own events.

@description('Name of the custom topic: 3 to 50 letters, digits and hyphens, unique in its region.')
param customTopicName string

@description('Object id of the identity that the function app runs as, which publishes to the custom topic.')
param principalId string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

var eventGridDataSender = 'd5a91429-5739-47e2-a06b-3470a27159e7'

// Its endpoint is public, in a private deployment too; the role keeps others out.
resource custom 'Microsoft.EventGrid/topics@2025-02-15' = {
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

resource mayPublish 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(custom.id, principalId, eventGridDataSender)
  scope: custom
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', eventGridDataSender)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('Where the program publishes to.')
output endpoint string = custom.properties.endpoint
