// One private endpoint, with its name in the private DNS zone.

@description('Name of the endpoint.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Subnet that the endpoint takes its address from.')
param subnetId string

@description('Resource id of what is reached through it.')
param targetId string

@description('Part of the target: blob, table or vault.')
param groupId string

@description('Private DNS zone that gets the endpoint\'s address.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-10-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-10-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: zoneId
        }
      }
    ]
  }
}
