// The alerts of one vault that serves. README.md has a section for each, under its name without the
// vault's.

@description('Start of every alert\'s name.')
param prefix string

@description('What links call the vault: the end of every alert\'s name.')
param vaultName string

@description('Resource id of the vault.')
param vaultId string

@description('What the alerts do.')
param actions array

@description('Tags on every resource.')
param tags object

// A vault answers 4,000 requests for secrets in 10 s (Key Vault service limits), 120,000 in
// five minutes; at half of that it is time for the README's "When one vault is not enough".
var halfOfVaultIn5Minutes = 60000

// 401 is the normal answer to a client's first request, and 404 is a normal answer too.
resource vaultErrors 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-vault-errors-${vaultName}'
  location: 'global'
  tags: tags
  properties: {
    description: 'The vault refuses the program (403: a role or a network rule is missing) or fails (5xx).'
    severity: 1
    enabled: true
    scopes: [
      vaultId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'errors'
          metricNamespace: 'Microsoft.KeyVault/vaults'
          metricName: 'ServiceApiResult'
          dimensions: [
            {
              name: 'StatusCode'
              operator: 'Include'
              values: [
                '403'
                '500'
                '502'
                '503'
                '504'
              ]
            }
          ]
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          skipMetricValidation: true
        }
      ]
    }
    actions: actions
  }
}

resource vaultThrottled 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-vault-throttled-${vaultName}'
  location: 'global'
  tags: tags
  properties: {
    description: 'The vault answers 429: it is asked more often than it answers.'
    severity: 2
    enabled: true
    scopes: [
      vaultId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricNamespace: 'Microsoft.KeyVault/vaults'
          metricName: 'ServiceApiResult'
          dimensions: [
            {
              name: 'StatusCode'
              operator: 'Include'
              values: [
                '429'
              ]
            }
          ]
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          skipMetricValidation: true
        }
      ]
    }
    actions: actions
  }
}

resource vaultLoad 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-vault-load-${vaultName}'
  location: 'global'
  tags: tags
  properties: {
    description: 'The vault is asked more than half as often as it answers at most.'
    severity: 3
    enabled: true
    scopes: [
      vaultId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'load'
          metricNamespace: 'Microsoft.KeyVault/vaults'
          metricName: 'ServiceApiHit'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: halfOfVaultIn5Minutes
          skipMetricValidation: true
        }
      ]
    }
    actions: actions
  }
}
