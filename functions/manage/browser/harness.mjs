// What the tests and the screenshots have in common: cmd/local on a free port, and a browser.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

export const client = '22222222-2222-4222-8222-222222222222'
export const secret = 'sandbox-secret-value'
export const wrongSecret = 'canary~wrong/secret+of=the&clinic'

// Where the sandbox's Entra is: another site than localhost, on some port.
export const entra = 'http://127.0.0.1:'

const german = JSON.parse(readFileSync(new URL('../view/words/de.json', import.meta.url)))

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// The date so many days from today, in UTC.
export const inDays = (n) => new Date(Date.now() + n * 86400e3).toISOString().slice(0, 10)

// Starts cmd/local, built by .ci/pages, with an empty data folder. base is where its pages are, and app where
// the sandbox's SMART app is. restart() starts it again at the same
// address with the same data, and other arguments if some are given.
export async function startProgram(...args) {
	const data = mkdtempSync(join(tmpdir(), 'fhirlink-pages-'))
	const running = { base: '', app: '', restart: start, stop: async () => { await end(); rmSync(data, { recursive: true, force: true }) } }
	let program, end = async () => {}
	async function start(...others) {
		await end()
		let output = ''
		const port = running.base.split(':').at(-1) || '0'
		program = spawn(process.env.FHIRLINK_LOCAL, ['-addr', `127.0.0.1:${port}`, '-data', data, ...args, ...others], { stdio: ['ignore', 'pipe', 'pipe'] })
		program.stderr.on('data', (text) => (output += text))
		await new Promise((resolve, reject) => {
			program.on('exit', (code) => reject(new Error(`cmd/local ended with ${code}: ${output}`)))
			createInterface({ input: program.stdout }).on('line', (line) => {
				running.base = line.match(/^Open (http:\/\/localhost:\d+)\/api\/manage\/ /)?.[1] ?? running.base
				running.app = line.match(/^Try a SMART app: (\S+)$/)?.[1] ?? running.app
				if (line.startsWith('fhirlink answers on ')) resolve()
			})
		})
		const started = program
		end = () => new Promise((resolve) => {
			started.removeAllListeners('exit')
			started.on('exit', resolve)
			started.kill()
		})
	}
	await start()
	return running
}

export const startBrowser = () => chromium.launch({
	executablePath: process.env.CHROMIUM, args: process.getuid() === 0 ? ['--no-sandbox'] : [],
})

// A browser's window that notes what must never happen: a violation of the policy, an error in the
// console, a request to anybody else (but the site of the sandbox's Entra), and a secret where one must
// not be.
export class Visitor {
	troubles = []
	said = ''
	addresses = []
	also = [] // what else it may ask

	static async arrive(browser, base, options = {}) {
		const v = new Visitor()
		v.base = base
		v.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
		v.context.on('request', (r) => {
			v.addresses.push(r.url())
			if (![base + '/', entra, ...v.also].some((site) => r.url().startsWith(site))) v.troubles.push(`a request to ${r.url()}`)
		})
		await v.context.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)))
		v.page = await v.tab()
		return v
	}

	// Opens another tab of the same browser.
	async tab() {
		const page = await this.context.newPage()
		this.watch(page)
		return page
	}

	watch(page) {
		page.on('console', (m) => {
			this.said += m.text() + '\n'
			// A page that says what is wrong has the status of that, which the console calls an error.
			if (m.type() === 'error' && !/status of 4\d\d|status of 503/.test(m.text())) this.troubles.push(`console: ${m.text()}`)
		})
		page.on('pageerror', (e) => this.troubles.push(`script: ${e.message}`))
		page.on('requestfailed', (r) => {
			// A download ends its navigation, and so does a press that comes next.
			if (r.failure().errorText !== 'net::ERR_ABORTED') this.troubles.push(`failed: ${r.url()} ${r.failure().errorText}`)
		})
	}

	go(path) { return this.page.goto(this.base + '/api/manage/' + path) }
	heading() { return this.page.locator('h1').textContent() }
	// Presses a button, and waits until the checks that it begins have come to an end.
	async press(name) {
		await this.page.getByRole('button', { name, exact: true }).click()
		await this.page.waitForFunction(() => !document.querySelector('main h2[data-words]'))
	}

	// Fills the fields by what people call them.
	async fill(fields) {
		for (const [label, value] of Object.entries(fields)) await this.page.getByLabel(label, { exact: true }).fill(value)
	}

	// Fills in the form of seed 1. By names of the API, which are the same in every language.
	async type(slug, server, options = {}) {
		for (const [id, value] of Object.entries({
			slug, description: options.description ?? `Clinic ${slug}`, fhirServerUrl: `https://${server}.fhir.sandbox.test/metadata`,
			clientId: client, clientSecret: options.secret ?? secret, secretExpiresOn: options.ends ?? inDays(300),
		})) await this.page.locator('#' + id).fill(value)
	}

	async link(slug, server, options) {
		await this.go('add')
		await this.type(slug, server, options)
		await this.press('Save')
	}

	// What axe finds, in light and in dark.
	async axe() {
		const found = []
		for (const colorScheme of ['light', 'dark']) {
			await this.page.emulateMedia({ colorScheme })
			await this.page.evaluate(axe)
			found.push(...await this.page.evaluate(async (scheme) => {
				const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice']
				const { violations } = await window.axe.run({ runOnly: tags })
				return violations.flatMap((v) => v.nodes.map((n) => `${scheme}: ${v.id} at ${n.target.join(' ')}: ${n.failureSummary}`))
			}, colorScheme))
		}
		await this.page.emulateMedia({ colorScheme: null })
		return found
	}

	// Where a text is, of all places that a page could leave it in.
	async traces(text) {
		const places = await this.page.evaluate(() => ({
			html: document.documentElement.outerHTML, fields: [...document.querySelectorAll('input, textarea')].map((e) => e.value).join('\n'),
			address: location.href, name: window.name, state: JSON.stringify(history.state), local: JSON.stringify({ ...localStorage }), session: JSON.stringify({ ...sessionStorage }), cookies: document.cookie,
		}))
		places.console = this.said
		places.requests = this.addresses.join('\n')
		places.jar = JSON.stringify(await this.context.cookies())
		const forms = [text, encodeURIComponent(text), new URLSearchParams({ x: text }).toString().slice(2), Buffer.from(text).toString('base64')]
		return Object.entries(places).filter(([, held]) => forms.some((f) => held.includes(f))).map(([place]) => place)
	}

	// The English texts of a German page that do not say that they are English.
	untranslated() {
		const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
		const texts = Object.entries(german).filter(([english, here]) => english !== here && /\p{L}{3}/u.test(english.replace(/\{\w+\}/g, '')))
		return this.page.evaluate((patterns) => {
			const shown = [document.title.replace(/ – [^–]*$/, '')]
			const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT)
			for (let n = walker.nextNode(); n; n = walker.nextNode()) {
				const element = n.parentElement.closest('[lang=en], code, pre, .brand')
				if (element && element !== document.documentElement) continue
				if (n.nodeType === Node.TEXT_NODE) shown.push(n.data)
				else shown.push(...['aria-label', 'title', 'placeholder', 'data-done', 'data-words', 'data-begin'].map((name) => n.getAttribute(name) ?? ''))
			}
			return [...new Set(shown.map((text) => text.trim()))].filter((text) => patterns.some((p) => new RegExp(`^${p}$`).test(text)))
		}, texts.map(([english]) => english.split(/\{\w+\}/).map(escaped).join('.+')))
	}

	// By how much the page is wider than the window.
	overflow() { return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth) }

	// Presses Tab until the element with a name or id has the focus.
	async tabTo(name) {
		const focused = () => this.page.evaluate(() => {
			const e = document.activeElement
			return [e.id, e.getAttribute('aria-label'), e.textContent.trim()]
		})
		for (let i = 0; i < 80; i++) {
			await this.page.keyboard.press('Tab')
			if ((await focused()).includes(name)) return
		}
		throw new Error(`Tab never reaches ${name}`)
	}

	leave() { return this.context.close() }
}
