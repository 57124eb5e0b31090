// The vault's own events, for those who have Event Grid anyway: SecretNearExpiry comes 30 days
// before a client secret's end, SecretExpired at it. Who gets them is a subscription's matter.

@description('Name of the topic.')
param name string

@description('Azure region, the same as the vault\'s.')
param location string

@description('Tags on every resource.')
param tags object

@description('Resource id of the vault.')
param vaultId string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  properties: {
    source: vaultId
    topicType: 'Microsoft.KeyVault.vaults'
  }
}
