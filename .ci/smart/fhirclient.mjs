// A web app with fhirclient, in Chromium: it is launched standalone, signs a patient in at the sandbox's
// Entra, reads the patient's record, and refreshes its token. Then an EHR launches it for a practitioner. Its FHIR server is resource-server.mjs, under
// the name that the link knows.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { chromium } from 'playwright-core'
import { settings } from './browser.mjs'
import { resourceServer } from './resource-server.mjs'

const listen = (server) => new Promise((resolve, reject) => {
	server.once('error', reject).listen(0, '127.0.0.1', () => resolve(server.address().port))
})

const fhir = https.createServer({ cert: settings.cert, key: settings.key }, resourceServer({
	issuer: settings.issuer, jwksUri: settings.issuer + '/jwks', audience: settings.aud, discovery: settings.issuer + '/.well-known/smart-configuration',
}))
const fhirPort = await listen(fhir)

// The app: pages without content that load the library, as it is published.
const library = readFileSync(new URL('node_modules/fhirclient/build/fhir-client.js', import.meta.url))
const pages = { '/fhir-client.js': ['text/javascript', library], '/launch.html': ['text/html'], '/index.html': ['text/html'], '/init.html': ['text/html'], '/favicon.ico': ['image/x-icon', ''] }
const app = http.createServer((request, response) => {
	const [type, content = '<!doctype html><title>App</title><script src="/fhir-client.js"></script>'] = pages[new URL(request.url, 'http://app').pathname] ?? []
	response.writeHead(type ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(content)
})
const appBase = `http://127.0.0.1:${await listen(app)}` // another site than localhost, as an app's is

// Chromium takes the server's certificate by its key, and every other one only if it is valid.
const spki = new X509Certificate(settings.cert).publicKey.export({ type: 'spki', format: 'der' })
const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM, args: [
		`--host-resolver-rules=MAP ${new URL(settings.aud).host}:443 127.0.0.1:${fhirPort}`,
		`--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`,
		...(process.getuid() === 0 ? ['--no-sandbox'] : []),
	],
})
try {
	const context = await browser.newContext()
	const troubles = []
	const watch = (context) => {
		context.on('weberror', (error) => troubles.push(`script: ${error.error().message}`))
		context.on('requestfailed', (request) => troubles.push(`failed: ${request.url()} ${request.failure().errorText}`))
		context.on('console', (message) => { if (message.type() === 'error') troubles.push(`console: ${message.text()}`) })
	}
	watch(context)
	const forms = [] // that the app sends to the token endpoint
	context.on('request', (request) => { if (request.url().endsWith('/token') && request.method() === 'POST') forms.push(Object.fromEntries(new URLSearchParams(request.postData()))) })

	const page = await context.newPage()
	const options = { iss: settings.aud, clientId: settings.clientId, scope: settings.scope }
	await page.goto(appBase + '/launch.html')
	await page.evaluate((options) => { void FHIR.oauth2.authorize(options) }, { ...options, redirectUri: '/index.html' })
	await page.getByRole('button', { name: `(${settings.user}@` }).click()
	await page.waitForURL(appBase + '/**')
	const got = await page.evaluate(async () => {
		const client = window.client = await FHIR.oauth2.ready()
		return { patient: client.patient.id, fhirUser: client.getFhirUser(), state: client.state.tokenResponse, expiresAt: client.state.expiresAt, record: await client.patient.read(), address: location.href }
	})
	assert.equal(got.patient, settings.patient)
	assert.equal(got.record.id, settings.patient)
	assert.equal(got.fhirUser, settings.fhirUser)
	assert.equal(got.state.scope, settings.scope)
	assert.ok(Math.abs(got.expiresAt - Date.now() / 1000 - 3600) < 60, `expires at ${got.expiresAt}`) // it adds numbers
	assert.ok(!/[?&](code|state|iss)=/.test(got.address), got.address)
	assert.match(forms[0].code_verifier, /^.{43,}$/) // PKCE, because our document lists S256

	// refresh() names no client, and works only with what was granted for it.
	const fresh = await page.evaluate(async () => {
		await client.refresh()
		return { state: client.state.tokenResponse, record: await client.request('Patient/' + client.patient.id) }
	})
	assert.equal(forms[1].grant_type, 'refresh_token')
	assert.ok(!('client_id' in forms[1]))
	assert.notEqual(fresh.state.access_token, got.state.access_token)
	assert.notEqual(fresh.state.refresh_token, got.state.refresh_token)
	assert.equal(fresh.record.id, settings.patient)

	// The record of somebody else stays closed, and so does every record without a token.
	const other = await page.evaluate(() => client.request('Patient/p-2').then(() => 200, (error) => error.status ?? error.statusCode))
	assert.equal(other, 403)
	assert.equal((await page.evaluate((base) => fetch(base + '/Patient/p-1').then((answer) => answer.text().then(() => answer.status)), settings.aud)), 401)

	// A confidential app of one page, in another tab: init() goes to sign in, where the user is known by now,
	// and continues behind it. When that page is loaded again, it goes nowhere. The app sends its secret as it
	// is, although RFC 6749 §2.3.1 wants it encoded, and knows the FHIR server with a slash at the end.
	const tab = await context.newPage()
	await tab.addInitScript((options) => {
		if (location.pathname === '/init.html') addEventListener('DOMContentLoaded', () => { FHIR.oauth2.init(options).then((client) => { window.client = client }) })
	}, { ...options, redirectUri: '/init.html', iss: settings.aud + '/', ...settings.confidential })
	await tab.goto(appBase + '/init.html')
	for (let loaded = 1; loaded <= 2; loaded++) {
		await tab.waitForFunction(() => window.client)
		assert.equal(await tab.evaluate(() => client.patient.read().then((record) => record.id)), settings.patient)
		assert.equal(forms.length, 3)
		if (loaded === 1) await tab.reload()
	}
	await tab.evaluate(() => client.refresh())
	assert.equal(await tab.evaluate(() => client.patient.read().then((record) => record.id)), settings.patient)
	for (const form of forms.slice(2)) assert.ok(!('client_id' in form) && !('client_secret' in form)) // but Basic
	assert.equal(forms.length, 4)

	// An EHR opens the app for a practitioner, at the address that the organization has registered: with the scope
	// launch, and without it, because fhirclient sends the launch either way. She gets at the patient of the launch.
	const ehr = settings.ehr
	const api = async (method, path, body) => {
		const answer = await fetch(ehr.api + path, { method, headers: { 'content-type': 'application/json', 'if-match': '*' }, body: JSON.stringify(body) })
		assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
		return answer.json()
	}
	await api('PATCH', '/apps/' + ehr.clientId, { launchUri: appBase + '/launch.html' })
	const hers = await browser.newContext()
	watch(hers)
	for (const scope of [ehr.scope, ehr.scope.replace('launch ', '')]) {
		const { launchUrl } = await api('POST', '/launches', { clientId: ehr.clientId, user: ehr.oid, patient: ehr.patient, encounter: 'e-1', intent: 'review', iss: settings.aud })
		const opened = await hers.newPage()
		await opened.goto(launchUrl)
		await opened.evaluate((options) => { void FHIR.oauth2.authorize(options) }, { clientId: ehr.clientId, scope, redirectUri: '/index.html' })
		if (scope === ehr.scope) await opened.getByRole('button', { name: `(${ehr.user}@` }).click() // then Entra knows her
		await opened.waitForURL(appBase + '/index.html?**')
		const got = await opened.evaluate(async () => {
			const client = await FHIR.oauth2.ready()
			return { patient: client.patient.id, encounter: client.encounter.id, fhirUser: client.getFhirUser(), told: client.state.tokenResponse, record: await client.patient.read() }
		})
		assert.deepEqual([got.patient, got.encounter, got.fhirUser, got.record.id], [ehr.patient, 'e-1', ehr.fhirUser, ehr.patient])
		assert.deepEqual([got.told.scope, got.told.intent], [scope, 'review'])
	}

	// Chromium calls the two refusals above errors.
	assert.deepEqual(troubles.filter((trouble) => !/status of 40[13] /.test(trouble)), [])
} finally {
	await browser.close()
	for (const server of [app, fhir]) {
		server.closeAllConnections()
		server.close()
	}
}
console.log('ok')
