// The alerts of a deployment. README.md has a section for each, under its name.
//
// The program writes JSON lines on stdout, and the Functions host passes them on as traces. The
// queries parse the trace's message. Sampling may drop traces; ItemCount of a kept trace says how
// many it stands for. host.json excludes the host's own record of requests from sampling.

@description('Start of every alert\'s name.')
param prefix string

@description('Azure region of the log alerts.')
param location string

@description('Tags on every resource.')
param tags object

@description('Log Analytics workspace with the traces.')
param workspaceId string

@description('Resource id of the storage account.')
param storageId string

@description('Address that alerts are mailed to. Empty: no mail.')
param email string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: '${prefix}-alerts'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'fhirlink'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var groups = empty(email) ? [] : [people.id]
var actions = empty(email)
  ? []
  : [
      {
        actionGroupId: people.id
      }
    ]

resource sweepHeartbeat 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${prefix}-sweep-heartbeat'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}: the timer has not looked after the links for an hour'
    description: 'The heartbeat of secret-expiry is older than an hour: no run has taken up all that was due. Nobody is told of secrets that expire, and nothing finishes what a crash left.'
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: '''
AppTraces
| where Message has "sweep.done"
| extend event = parse_json(Message)
| where tostring(event.msg) == "sweep.done" and todatetime(event.succeededAt) > ago(1h)
'''
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}

resource serverErrors 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${prefix}-server-errors'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}: requests fail for a fault of ours'
    description: 'Answers with a 5xx status other than 503, sign-ins to apps that failed because of us, requests that panicked, or no token for the program itself. 503 means that somebody else is out of reach: another alert counts those.'
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: '''
let traced = AppTraces
    | where Message has_any ("request", "panic", "identity.failed")
    | extend event = parse_json(Message)
    | where tostring(event.msg) in ("panic", "identity.failed")
        or (tostring(event.msg) == "request" and toint(event.status) >= 500 and toint(event.status) != 503)
        or (tostring(event.msg) == "request.failed" and tostring(event.level) == "ERROR")
    | project TimeGenerated, Message;
let seenByTheHost = AppRequests
    | where toint(ResultCode) >= 500 and toint(ResultCode) != 503
    | project TimeGenerated, Message = strcat(Name, ": ", ResultCode);
union traced, seenByTheHost
'''
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}

resource unavailable 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${prefix}-unavailable'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}: many requests are asked to come back later'
    description: 'More than 5 % of at least 20 requests in 15 minutes were answered 429 or 503: throttled by us, or something upstream throttles or is out of reach.'
    severity: 2
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: '''
AppTraces
| where Message has "request"
| extend event = parse_json(Message)
| where tostring(event.msg) == "request"
| where tostring(event.outcome) != "client_gone"
| summarize requests = sum(ItemCount), refused = sumif(ItemCount, toint(event.status) in (429, 503))
| where requests >= 20 and refused * 20 > requests
'''
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}

resource secretsEnding 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${prefix}-secrets-ending'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}: client secrets are about to expire, or have'
    description: 'The timer noticed today that the end of a client secret has come nearer: 60, 30, 14, 7, 3, 1 or 0 days are left, or it has passed. The log lines name the links.'
    severity: 3
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'P1D'
    windowSize: 'P1D'
    autoMitigate: false
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: '''
AppTraces
| where Message has "sweep.finding"
| extend event = parse_json(Message)
| where tostring(event.msg) == "sweep.finding" and tobool(event.notice) and tostring(event.secretState) in ("expiring", "expired")
| project TimeGenerated, link = tostring(event.link), organization = tostring(event.organization), expiresOn = tostring(event.expiresOn), daysLeft = toint(event.daysLeft)
'''
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}

resource tableThrottled 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-table-throttled'
  location: 'global'
  tags: tags
  properties: {
    description: 'Table Storage throttles, is busy, or fails.'
    severity: 2
    enabled: true
    scopes: [
      '${storageId}/tableServices/default'
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
          metricNamespace: 'Microsoft.Storage/storageAccounts/tableServices'
          metricName: 'Transactions'
          dimensions: [
            {
              name: 'ResponseType'
              operator: 'Include'
              values: [
                'ClientThrottlingError'
                'ClientAccountRequestThrottlingError'
                'ClientAccountBandwidthThrottlingError'
                'ServerBusyError'
                'ServerTimeoutError'
                'ServerOtherError'
              ]
            }
          ]
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
          skipMetricValidation: true
        }
      ]
    }
    actions: actions
  }
}

@description('What an alert does: mail to people, or nothing. Alerts of other modules do the same.')
output actions array = actions
