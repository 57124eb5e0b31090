// The virtual network of a private deployment: one subnet for the function app, one for the
// private endpoints, and the DNS zones with their names. New networks have no way to the internet
// of their own: the app's subnet gets it from a NAT gateway.

@description('Name of the virtual network.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Address space, /23 or larger: its first /24 is the app\'s, its second the endpoints\'.')
param addressSpace string

@description('Whether the app\'s subnet reaches the internet through a NAT gateway.')
param natGateway bool

@description('Name of the NAT gateway.')
param natGatewayName string

@description('Name of the public address that others see.')
param natAddressName string

// The DNS suffix of vaults behind private endpoints is not among environment().suffixes.
var vaultZone = startsWith(environment().name, 'AzureUSGov')
  ? 'privatelink.vaultcore.usgovcloudapi.net'
  : 'privatelink.vaultcore.azure.net'

resource address 'Microsoft.Network/publicIPAddresses@2024-10-01' = if (natGateway) {
  name: natAddressName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAddressVersion: 'IPv4'
    publicIPAllocationMethod: 'Static'
  }
}

resource gateway 'Microsoft.Network/natGateways@2024-10-01' = if (natGateway) {
  name: natGatewayName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: address.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-10-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressSpace, 24, 0)
          natGateway: natGateway
            ? {
                id: gateway.id
              }
            : null
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressSpace, 24, 1)
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

resource blobZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.blob.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}

resource tableZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.table.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}

resource secretsZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: vaultZone
  location: 'global'
  tags: tags
}

resource blobZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: blobZone
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource tableZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: tableZone
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource secretsZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: secretsZone
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

@description('Subnet of the function app.')
output appSubnetId string = '${network.id}/subnets/app'

@description('Subnet of the private endpoints.')
output endpointSubnetId string = '${network.id}/subnets/endpoints'

@description('DNS zone of blob endpoints.')
output blobZoneId string = blobZone.id

@description('DNS zone of table endpoints.')
output tableZoneId string = tableZone.id

@description('DNS zone of vault endpoints.')
output vaultZoneId string = secretsZone.id
