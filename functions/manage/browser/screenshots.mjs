// Makes the pictures of the README: the list, the form with a mistake, a server that waits for access.
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inDays, startBrowser, startProgram, Visitor } from './harness.mjs'

const folder = fileURLToPath(new URL('../pictures/', import.meta.url))
const program = await startProgram()
const browser = await startBrowser()
const v = await Visitor.arrive(browser, program.base, { viewport: { width: 1120, height: 1000 }, colorScheme: 'light' })

async function picture(name) {
	await v.page.evaluate(() => document.activeElement.blur())
	const path = folder + name + '.png'
	await v.page.screenshot({ path, fullPage: false })
	console.log(`${path}: ${statSync(path).size} bytes`)
}

await v.link('good-health-clinic', 'clinic', { description: 'Good Health Clinic', ends: inDays(330) })
await v.link('lakeside-lab', 'readonly', { description: 'Lakeside Laboratory', ends: inDays(24) })
await v.link('st-anne', 'clinic', { description: "St. Anne's Hospital", ends: inDays(58) })
await v.link('riverside', 'clinic', { description: 'Riverside Care', ends: inDays(610) })
await v.link('north-ward', 'norole', { description: 'North Ward', ends: inDays(200) })
await picture('server')
await v.go('')
await picture('list')
await v.go('add')
await v.type('Harbour Clinic', 'clinic', { description: 'Harbour Clinic', secret: '33333333-3333-4333-8333-333333333333' })
await v.press('Save')
await picture('form')
if (v.troubles.length > 0) throw new Error(v.troubles.join('\n'))
await browser.close()
await program.stop()
