// The key that signs the tokens of SMART authorization, in the first vault that serves. Its private half
// never leaves the vault. A deployment makes the key if there is none, and changes none that is there
// (Keys_CreateIfNotExist): README.md says how to change the rotation of one.

@description('Name of the key: FHIRLINK_SMART_KEY.')
@minLength(1)
@maxLength(127)
param name string

@description('Name of the vault.')
param vaultName string

@description('Tags on every resource.')
param tags object

@description('Object id of the identity that the function app runs as.')
param principalId string

var keyVaultCryptoUser = '12338af0-0e69-4776-bea7-57ae8d297424'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

// No version expires: an old one is published until somebody disables it, so that no token becomes
// invalid before its own end.
resource key 'Microsoft.KeyVault/vaults/keys@2024-11-01' = {
  parent: vault
  name: name
  tags: tags
  properties: {
    kty: 'RSA'
    keySize: 2048 // a vault signs a quarter as often with 3072
    keyOps: [
      'sign'
      'verify'
    ]
    rotationPolicy: {
      lifetimeActions: [
        {
          action: {
            type: 'rotate'
          }
          trigger: {
            timeAfterCreate: 'P180D'
          }
        }
      ]
    }
  }
}

// There is no smaller built-in role that signs. On this key it can also list versions, disable them
// and make backups, which only Key Vault itself can open.
resource maySign 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(key.id, principalId, keyVaultCryptoUser)
  scope: key
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultCryptoUser)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
