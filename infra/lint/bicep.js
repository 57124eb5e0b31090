// Reports syntax errors in the Bicep files named as arguments, as file:line:column. It knows the
// grammar only, and not which resources exist: see README.md, "What was run".
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Language, Parser } from 'web-tree-sitter'

const grammar = import.meta.resolve('tree-sitter-bicep/tree-sitter-bicep.wasm')

// mistakes lists the ERROR and MISSING nodes of a text, outermost first.
function mistakes(parser, text) {
  const found = []
  const walk = node => {
    if (node.isError || node.isMissing) {
      found.push(node)
      return
    }
    if (node.hasError) node.children.forEach(walk)
  }
  const tree = parser.parse(text)
  walk(tree.rootNode)
  const described = found.map(describe)
  tree.delete()
  return described
}

// read returns a file's text. The grammar has no parameter files, so their assignments are read as
// variables with a keyword of the same length.
function read(file) {
  const text = readFileSync(file, 'utf8')
  return file.endsWith('.bicepparam') ? text.replace(/^param /gm, 'var   ') : text
}

function describe(node) {
  const { row, column } = node.startPosition
  const what = node.isMissing ? `${node.type} is missing` : `cannot read ${JSON.stringify(node.text.split('\n')[0].slice(0, 60))}`
  return { line: row + 1, column: column + 1, what }
}

await Parser.init()
const parser = new Parser()
parser.setLanguage(await Language.load(fileURLToPath(grammar)))

// A check that misses a planted mistake would miss every mistake.
if (mistakes(parser, "param a string\nresource b 'C@1' = {\n  name: \n}\n").length === 0) {
  console.error('infra/lint: the parser does not see a planted mistake')
  process.exit(2)
}

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('usage: bicep.js file.bicep...')
  process.exit(2)
}
let count = 0
for (const file of files) {
  for (const { line, column, what } of mistakes(parser, read(file))) {
    console.log(`${file}:${line}:${column}: ERROR: ${what}`)
    count++
  }
}
console.log(count === 0 ? `${files.length} Bicep files: no syntax errors` : `${count} syntax errors in Bicep files`)
process.exit(count === 0 ? 0 : 1)
