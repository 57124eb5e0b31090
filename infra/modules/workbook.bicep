// A workbook with the numbers in the log: refusals by code, tokens and how many of them were cached,
// calls to other services, runs of the timer.

@description('Log Analytics workspace with the traces.')
param workspaceId string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'fhirlink')
  location: location
  tags: union(tags, {
    'hidden-title': 'fhirlink' // the portal's lists show this instead of the name
  })
  kind: 'shared'
  properties: {
    displayName: 'fhirlink'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('../workbook.json'), '{{workspace}}', workspaceId)
  }
}
