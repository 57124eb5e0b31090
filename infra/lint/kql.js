// Reports what Kusto's own analyser finds wrong in the queries of the alerts, the workbook and the
// runbook. It knows the language and the tables below, as Log Analytics documents them. It does not
// know what the program writes into a trace's message: go test ./infra checks that.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
require('@kusto/language-service-next/bridge.min.js')
require('@kusto/language-service-next/Kusto.Language.Bridge.min.js')
const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language

// https://learn.microsoft.com/azure/azure-monitor/reference/tables-index, the columns used here.
const tables = {
  AppTraces: '(TimeGenerated: datetime, Message: string, SeverityLevel: int, ItemCount: int, OperationId: string)',
  AppRequests: '(TimeGenerated: datetime, Name: string, ResultCode: string, ItemCount: int, OperationId: string)',
  AZKVAuditLogs: '(TimeGenerated: datetime, OperationName: string, HttpStatusCode: int, ResultDescription: string, Id: string, CallerIpAddress: string, Identity: dynamic)'
}

const workspace = new Symbols.DatabaseSymbol.ctor('workspace', Object.entries(tables).map(([name, columns]) => new Symbols.TableSymbol.$ctor7(name, columns, null)))
const globals = GlobalState.Default.WithDatabase(workspace)

// mistakes returns the analyser's findings for a query. A workbook fills in its parameters first.
function mistakes(query) {
  const code = KustoCode.ParseAndAnalyze(query.replaceAll('{Time:grain}', '1h'), globals)
  const found = code.GetDiagnostics()
  return Array.from({ length: found.Count }, (_, i) => found.getItem(i).Message)
}

// queries returns the queries in a file, with their names.
function queries(file) {
  const text = readFileSync(file, 'utf8')
  if (file.endsWith('.json')) {
    return JSON.parse(text).items.filter(i => i.content.query).map(i => [i.name, i.content.query])
  }
  const pattern = file.endsWith('.md') ? /```kusto\n([^]*?)```|`(A(?:ppTraces|ZKVAuditLogs)[^`]*)`/g : /query: '''([^]*?)'''/g
  return Array.from(text.matchAll(pattern), (m, i) => [`query ${i + 1}`, m[1] ?? m[2]])
}

// A check that misses a planted mistake would miss every mistake.
for (const broken of ['AppTraces | order bye TimeGenerated', 'AppTraces | where NoSuchColumn == 1', 'NoSuchTable']) {
  if (mistakes(broken).length === 0) {
    console.error(`infra/lint: the analyser does not see what is wrong with ${broken}`)
    process.exit(2)
  }
}

let checked = 0, count = 0
for (const file of process.argv.slice(2)) {
  for (const [name, query] of queries(file)) {
    checked++
    for (const what of mistakes(query)) {
      console.log(`${file}: ${name}: ERROR: ${what}`)
      count++
    }
  }
}
if (checked === 0) {
  console.error('usage: kql.js file.json|file.md|file.bicep... with queries in them')
  process.exit(2)
}
console.log(count === 0 ? `${checked} KQL queries: no mistakes` : `${count} mistakes in KQL queries`)
process.exit(count === 0 ? 0 : 1)
