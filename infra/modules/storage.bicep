// The tables of links and of SMART authorization, and what the Functions host needs: the container of
// the published code, leases and the timer's status. There are no account keys to leak: all access is by identity.

@description('Name of the storage account: 3 to 24 lower-case letters and digits, unique in all of Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Replication, e.g. Standard_ZRS.')
param sku string

@description('Object id of the identity that the function app runs as.')
param principalId string

@description('Name of the table of SMART authorization: FHIRLINK_SMART_TABLE.')
@minLength(3)
@maxLength(63)
param smartTableName string

@description('Subnet of the private endpoints. Empty: the account is reached over its public endpoint.')
param endpointSubnetId string

@description('Private DNS zone of blob endpoints; used with a subnet only.')
param blobZoneId string

@description('Private DNS zone of table endpoints; used with a subnet only.')
param tableZoneId string

@description('true: a lock keeps the account from being deleted.')
param lock bool

var isPrivate = !empty(endpointSubnetId)
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'packages' // app.bicep names it too
  properties: {
    publicAccess: 'None'
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource links 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = {
  parent: tables
  name: 'links' // the program's name for it, too
}

resource smart 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = {
  parent: tables
  name: smartTableName
}

// The Functions host makes containers of its own in this account, for leases and for keys.
resource mayUseBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, storageBlobDataOwner)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource mayUseLinks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(links.id, principalId, storageTableDataContributor)
  scope: links
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource mayUseSmart 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(smart.id, principalId, storageTableDataContributor)
  scope: smart
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Table Storage keeps no deleted tables: a lost account is lost.
resource undeletable 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'keep-links'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds every link of fhirlink. Remove this lock only to give the deployment up.'
  }
}

module blobEndpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'blob-endpoint'
  params: {
    name: 'pep-blob-${name}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'blob'
    zoneId: blobZoneId
  }
}

module tableEndpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'table-endpoint'
  params: {
    name: 'pep-table-${name}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'table'
    zoneId: tableZoneId
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Name of the account.')
output name string = account.name
