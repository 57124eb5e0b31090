// The sandbox's SMART app launches, and reads from the sandbox's FHIR servers.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { entra, startBrowser, startProgram, Visitor } from './harness.mjs'

let program, browser

const clinic = 'good-health-clinic'
const ownRecord = 'openid fhirUser launch/patient offline_access patient/Patient.r patient/Observation.rs?category=laboratory patient/Condition.rs?category=problem-list-item'

before(async () => {
	program = await startProgram()
	browser = await startBrowser()
})

after(async () => {
	await browser?.close()
	await program?.stop()
})

function walk(name, steps) {
	test(name, async () => {
		const v = await Visitor.arrive(browser, program.base)
		try {
			await open(v.page)
			await steps(v, v.page)
			assert.deepEqual(v.troubles, [])
		} finally {
			await v.leave()
		}
	})
}

const ready = (page) => page.waitForSelector('body[data-ready]')
const button = (page, name) => page.getByRole('button', { name, exact: true })
const alert = (page) => page.getByRole('alert')

async function open(page) {
	await page.goto(program.app)
	await ready(page)
}

async function prepare(page, kind, tokens = 'fhirlink') {
	await page.getByLabel('The sandbox clinic judges').selectOption(kind)
	await page.getByLabel('Apps get access tokens of').selectOption(tokens)
	await page.locator('#prepare-button').click()
	await page.getByText(`The link ${tokens === 'entra' ? clinic + '-entra' : clinic} is ready.`).waitFor()
}

// Signs somebody in, and waits for what comes of it: the scopes that were granted, or null.
async function launch(page, who, scope) {
	await page.getByLabel('Who signs in').selectOption(who && 'auto:' + who)
	await page.getByLabel('Scopes to ask for').fill(scope)
	await button(page, 'Sign in').click()
	await page.getByRole('heading', { name: /Authorization answer/ }).waitFor()
	await ready(page)
	return await page.locator('#session').isVisible() ? (await page.locator('#granted li').allTextContents()).join(' ') : null
}

// The titles of what the page has shown, without their numbers.
const titles = async (page) => (await page.locator('#log h3').allTextContents()).map((title) => title.replace(/^\d+\. /, ''))

// The last answer, after an entry with this title has come.
async function answer(page, title) {
	const entry = page.locator('#log li').last()
	await entry.getByRole('heading', { name: title }).waitFor()
	const text = await entry.locator('details pre').textContent()
	return text.startsWith('{') ? JSON.parse(text) : text
}

// What an entry shows, as JSON.
const shown = async (page, title, which = 'pre') => JSON.parse(await page.locator('#log li').filter({ has: page.getByRole('heading', { name: title }) }).last().locator(which).last().textContent())

// Reads an address, and returns the status and the answer.
async function read(page, path, press = 'Read') {
	const before = await page.locator('#log li').count()
	await page.getByLabel('Another address').fill(path)
	await button(page, press).click()
	await page.waitForFunction((n) => document.querySelectorAll('#log li').length > n, before)
	const [title] = (await titles(page)).slice(-1)
	return [Number(title.split(': ').at(-1)), await answer(page, title)]
}

const ids = (bundle) => (bundle.entry ?? []).map((e) => e.resource.id)

walk('nothing has been prepared, and a patient reads their own record', async (v, page) => {
	assert.equal(await page.title(), 'SMART app – fhirlink sandbox')
	assert.ok(await button(page, 'Sign in').isDisabled())
	await page.getByText('What works where').click()
	assert.deepEqual(await v.axe(), [])
	await prepare(page, 'firely')
	assert.equal(await page.getByLabel('Scopes to ask for').inputValue(), ownRecord) // the form begins with these
	assert.equal(await launch(page, 'pat', ownRecord), ownRecord)
	assert.deepEqual(await titles(page), [
		'Discovery: 200', 'Authorization request: the browser goes there', 'Authorization answer: a code', 'Token: 200', 'Access token, decoded. Only the FHIR server reads it', 'Id token, decoded',
	])
	assert.equal(new URL(page.url()).search, '') // the code is not left in the address
	// The scopes stand in SMART's spelling wherever they are.
	assert.equal((await shown(page, 'Token: 200')).scope, ownRecord)
	const access = await shown(page, 'Access token')
	assert.equal(access.scope, ownRecord)
	assert.equal(access.patient, 'p-1')
	assert.equal((await shown(page, 'Id token')).fhirUser, `${program.base}/sandbox/fhir/${clinic}/Patient/p-1`)
	assert.ok(v.addresses.some((a) => a.startsWith(entra) && a.includes('/oauth2/v2.0/authorize?') && !a.includes('patient%2F')), 'Entra sees no scope of the app')

	await button(page, 'Read patient').click()
	assert.equal((await answer(page, 'Read Patient/p-1: 200')).name[0].family, 'Patient')
	await button(page, 'Read observations').click()
	assert.deepEqual(ids(await answer(page, 'Read Observation?patient=p-1: 200')), ['p-1-1', 'p-1-2']) // laboratory only
	assert.equal((await read(page, 'Observation/p-1-3'))[0], 404) // vital-signs
	assert.deepEqual(ids((await read(page, 'Condition'))[1]), ['p-1-5'])
	const [status, refusal] = await read(page, 'Patient/p-2')
	assert.equal(status, 404)
	assert.equal(refusal.resourceType, 'OperationOutcome')
	assert.deepEqual(ids((await read(page, 'Observation?patient=p-2'))[1]), [])
	assert.equal((await read(page, 'Patient'))[0], 403) // .r does not search
	assert.equal((await read(page, 'Practitioner/1'))[0], 403)
	assert.equal((await read(page, 'Patient/p-1', 'Write'))[0], 403)

	assert.deepEqual(await v.axe(), [])
	await page.setViewportSize({ width: 320, height: 700 })
	assert.equal(await v.overflow(), 0)
})

walk('refresh, revoke, and start again', async (v, page) => {
	await prepare(page, 'firely')
	await launch(page, 'pat', ownRecord)
	const first = await shown(page, 'Token: 200')
	await button(page, 'Refresh').click()
	await page.getByRole('heading', { name: 'Refresh: 200' }).waitFor()
	const second = await shown(page, 'Refresh: 200')
	assert.equal(second.scope, ownRecord)
	assert.equal(second.patient, 'p-1')
	assert.notEqual(second.refresh_token, first.refresh_token)
	assert.notEqual(second.access_token, first.access_token)
	await button(page, 'Read patient').click()
	await answer(page, 'Read Patient/p-1: 200')
	await button(page, 'Revoke').click()
	await answer(page, 'Revoke: 200')
	await button(page, 'Refresh').click()
	assert.equal((await answer(page, 'Refresh: 400')).error, 'invalid_grant')
	assert.match(await alert(page).textContent(), /^invalid_grant: /)
	await page.reload() // the tab remembers
	await ready(page)
	assert.equal((await titles(page)).at(-1), 'Refresh: 400')
	await button(page, 'Start again').click()
	assert.deepEqual(await titles(page), [])
	assert.ok(await page.locator('#session').isHidden())
	assert.deepEqual(await v.traces(second.refresh_token), [])
})

walk('a practitioner has user/ scopes, and no patient', async (v, page) => {
	await prepare(page, 'firely')
	const scope = 'openid fhirUser user/Patient.rs user/Observation.rs?category=vital-signs'
	assert.equal(await launch(page, 'ada', scope), scope)
	assert.ok(await button(page, 'Refresh').isDisabled()) // there was no offline_access
	await button(page, 'Read patient').click()
	assert.deepEqual(ids(await answer(page, 'Read Patient: 200')), ['p-1', 'p-2'])
	await button(page, 'Read observations').click()
	assert.deepEqual(ids(await answer(page, 'Read Observation: 200')), ['p-1-3', 'p-1-4', 'p-2-3', 'p-2-4'])
	assert.equal(await launch(page, 'ada', ownRecord), null)
	assert.match(await alert(page).textContent(), /^access_denied: .*user\/ scopes/)
	assert.equal((await titles(page)).at(-1), 'Authorization answer: access_denied')
})

walk('a user without a FHIR resource gets no data', async (v, page) => {
	await prepare(page, 'firely')
	assert.equal(await launch(page, 'nobody', ownRecord), null)
	assert.match(await alert(page).textContent(), /^access_denied: .*fhirUser/)
	assert.equal(await launch(page, 'nobody', 'openid'), 'openid')
	assert.equal((await read(page, 'Patient/p-1'))[0], 403)
	assert.deepEqual(await v.axe(), [])
})

walk('people choose their account at Entra', async (v, page) => {
	await prepare(page, 'firely')
	await page.getByLabel('Who signs in').selectOption('')
	await button(page, 'Sign in').click()
	await page.waitForURL((url) => url.href.startsWith(entra) && url.pathname.endsWith('/authorize'))
	await page.getByRole('button', { name: '(pat@' }).click()
	await page.getByRole('heading', { name: '3. The app has access' }).waitFor()
	assert.equal(await page.evaluate(() => document.activeElement.id), 'session-title')
})

// Opens the app from the pretend EHR, and waits for what comes of it.
async function fromEHR(page, patient, scope, signsIn = 'ada') {
	await page.getByLabel('Scopes to ask for').fill(scope)
	await page.getByLabel('ada works on').selectOption(patient)
	await page.getByLabel('Then signs in').selectOption('auto:' + signsIn)
	await button(page, 'Open the app from the EHR').click()
	await page.getByRole('heading', { name: /Authorization answer/ }).waitFor()
	await ready(page)
	return await page.locator('#session').isVisible() ? (await page.locator('#granted li').allTextContents()).join(' ') : null
}

walk('an EHR opens the app for a practitioner and a patient', async (v, page) => {
	await prepare(page, 'firely')
	const scope = 'openid fhirUser launch launch/patient launch/encounter offline_access patient/Patient.r patient/Observation.rs patient/Encounter.r'
	assert.equal(await fromEHR(page, 'p-2', scope), scope)
	assert.deepEqual(await titles(page), [
		'EHR: its back end asks fhirlink for a launch', 'Launch URL: the EHR has opened the app',
		'Discovery: 200', 'Authorization request: the browser goes there', 'Authorization answer: a code', 'Token: 200', 'Access token, decoded. Only the FHIR server reads it', 'Id token, decoded',
	])
	const made = await shown(page, 'EHR: its back end', 'details pre')
	assert.match(made.launch, /^fll_/)
	assert.ok(made.launchUrl.startsWith(program.app + '?iss=') && made.launchUrl.endsWith('&launch=' + made.launch))
	assert.equal(new URL(page.url()).search, '')
	assert.ok(!v.addresses.some((a) => a.startsWith(entra) && a.includes('/oauth2/v2.0/authorize?') && a.includes('fll_')), 'Entra does not see the launch')
	const told = await shown(page, 'Token: 200')
	assert.deepEqual([told.patient, told.encounter, told.intent, told.fhirContext], ['p-2', 'p-2-7', 'review-results', [{ reference: 'Observation/p-2-1' }]])
	const access = await shown(page, 'Access token')
	assert.deepEqual([access.patient, access.encounter], ['p-2', 'p-2-7'])
	assert.match((await shown(page, 'Id token')).fhirUser, /\/Practitioner\/1$/)
	assert.deepEqual(ids((await read(page, 'Observation'))[1]), ['p-2-1', 'p-2-2', 'p-2-3', 'p-2-4'])
	assert.equal((await read(page, 'Encounter/p-2-7'))[0], 200)
	assert.equal((await read(page, 'Patient/p-1'))[0], 404)
	await button(page, 'Refresh').click()
	await page.getByRole('heading', { name: 'Refresh: 200' }).waitFor()
	assert.equal((await shown(page, 'Refresh: 200')).encounter, 'p-2-7')
	assert.deepEqual(await v.axe(), [])
	await page.setViewportSize({ width: 320, height: 700 })
	assert.equal(await v.overflow(), 0)

	// The launch is spent: whoever opens the same address again gets nothing.
	await page.goto(made.launchUrl)
	await page.getByRole('heading', { name: 'Authorization answer: invalid_request' }).waitFor()
	assert.match(await alert(page).textContent(), /^invalid_request: The launch was used before/)
	// Another user signs in, and learns nothing.
	assert.equal(await fromEHR(page, 'p-2', scope, 'pat'), null)
	assert.match(await alert(page).textContent(), /^access_denied: .*another user/)
	// Without the scope launch, at a server that looks for the patient in fhirUser.
	await prepare(page, 'fhirServer')
	assert.equal(await fromEHR(page, 'p-1', 'openid patient/Patient.r'), 'openid patient/Patient.r')
	assert.equal((await shown(page, 'Access token')).fhirUser, 'https://clinic.fhir.sandbox.test/Patient/p-1')
	assert.equal((await read(page, 'Patient/p-1'))[0], 200)
	assert.equal((await read(page, 'Patient/p-2'))[0], 404)
})

walk('an address that looks like an EHR’s', async (v, page) => {
	await prepare(page, 'firely')
	await page.goto(program.app + '?iss=https%3A%2F%2Fevil.example%2Ffhir&launch=fll_x')
	await ready(page)
	assert.match(await alert(page).textContent(), /does not know the FHIR server/)
	assert.ok(!v.addresses.some((a) => a.startsWith('https://evil.example')))
})

walk('two tabs at once', async (v, page) => {
	await prepare(page, 'firely')
	const other = await v.tab()
	await open(other)
	const [own, hers] = await Promise.all([launch(page, 'pat', ownRecord), launch(other, 'ada', 'openid user/Patient.rs')])
	assert.equal(own, ownRecord)
	assert.equal(hers, 'openid user/Patient.rs')
	assert.equal((await read(page, 'Patient/p-1'))[0], 200)
	assert.equal((await read(page, 'Patient/p-2'))[0], 404)
	assert.equal((await read(other, 'Patient/p-2'))[0], 200)
})

walk('an answer that this tab has not asked for', async (v, page) => {
	await prepare(page, 'firely')
	await page.goto(program.app + '?code=flc_x&state=x')
	await ready(page)
	assert.match(await alert(page).textContent(), /not to a request of this tab/)
	assert.deepEqual(await titles(page), ['Authorization answer: a code'])
})

walk('Microsoft’s open-source server takes one context and one version from a token', async (v, page) => {
	await prepare(page, 'fhirServer')
	for (const scope of ['openid patient/Observation.rs user/Practitioner.rs', 'openid patient/Patient.read patient/Observation.rs']) {
		assert.equal(await launch(page, 'pat', scope), null)
		assert.match(await alert(page).textContent(), /^invalid_scope: .*mix/)
	}
	assert.equal(await launch(page, 'pat', ownRecord), ownRecord)
	const access = await shown(page, 'Access token')
	assert.deepEqual(access.roles, ['smartUser'])
	assert.equal(access.fhirUser, 'https://clinic.fhir.sandbox.test/Patient/p-1')
	assert.deepEqual(ids((await read(page, 'Observation'))[1]), ['p-1-1', 'p-1-2'])
	assert.equal((await read(page, 'Patient/p-2'))[0], 404)
	assert.equal(await launch(page, 'ada', 'openid user/Patient.rs'), 'openid user/Patient.rs')
	assert.equal((await read(page, 'Patient/p-2'))[0], 200)
	// Without the role the server reads no scopes.
	await settings({ tokens: 'fhirlink', server: 'fhirServer', accessTokenRoles: [] })
	assert.equal(await launch(page, 'ada', 'openid user/Patient.rs'), 'openid user/Patient.rs')
	const [status, outcome] = await read(page, 'Patient/p-2')
	assert.equal(status, 403)
	assert.match(outcome.issue[0].diagnostics, /smartUser/)
	await settings({ tokens: 'fhirlink', server: 'fhirServer' })
})

// As the organization does it.
async function settings(body) {
	const response = await fetch(`${program.base}/api/links/${clinic}/smart`, { method: 'PUT', headers: { 'Content-Type': 'application/json', 'If-Match': '*' }, body: JSON.stringify(body) })
	assert.equal(response.status, 200)
}

walk('Azure Health Data Services lets apps read only', async (v, page) => {
	await prepare(page, 'ahds')
	const scope = 'openid launch/patient patient/Patient.read patient/Observation.*'
	assert.equal(await launch(page, 'pat', scope), scope)
	assert.equal((await read(page, 'Patient/p-1'))[0], 200)
	assert.equal((await read(page, 'Observation/p-1-1'))[0], 200)
	assert.equal((await read(page, 'Observation/p-1-1', 'Write'))[0], 403)
	await prepare(page, 'other')
	await launch(page, 'pat', scope)
	assert.equal((await read(page, 'Observation/p-1-1', 'Write'))[0], 405) // allowed, but the sandbox stores nothing
})

// Launches with both kinds of tokens, and returns both results as the page shows them.
async function compare(page, kind, who, scope, fromEHR) {
	await page.getByLabel('The sandbox clinic judges').selectOption(kind)
	await page.getByLabel('Scopes to ask for').fill(scope)
	if (fromEHR) await page.getByLabel('ada works on').selectOption(fromEHR)
	else await page.getByLabel('Who signs in').selectOption('auto:' + who)
	await button(page, fromEHR ? 'Compare both, from the EHR' : 'Compare both kinds of tokens').click()
	await page.locator('#results article').nth(1).waitFor()
	await ready(page)
	return Promise.all(['fhirlink’s tokens', 'Entra’s own tokens'].map(async (name) => {
		const column = page.getByRole('article').filter({ has: page.getByRole('heading', { name, exact: true }) })
		const [header, claims] = (await column.locator('> pre').allTextContents()).map((text) => JSON.parse(text))
		const about = Object.fromEntries(await Promise.all((await column.locator('dt').all()).map(async (dt, i) => [await dt.textContent(), await column.locator('dd').nth(i).textContent()])))
		return { header, claims, ...about, reads: await column.locator('summary').allTextContents() }
	}))
}

const ownScopes = 'openid fhirUser launch/patient patient/Patient.r patient/Observation.rs?category=laboratory'
const sentScopes = 'openid fhirUser launch launch/patient patient/Patient.r patient/Observation.rs'

walk('both kinds of tokens, at Microsoft’s open-source server', async (v, page) => {
	const [own, entras] = await compare(page, 'fhirServer', 'pat', ownScopes)
	assert.equal(await page.evaluate(() => document.activeElement.id), 'comparison-title')
	assert.deepEqual(await v.axe(), [])
	for (const result of [own, entras]) {
		assert.equal(result.Scopes, ownScopes)
		assert.equal(result.Patient, 'p-1')
		assert.deepEqual(result.reads, ['GET Patient/p-1: 200', 'GET Observation?patient=p-1: 200', 'GET Patient/p-2: 404'])
		assert.match(result.Verdict, /^A patient, patient\/ scopes, at Microsoft’s .*: works.* The sandbox agrees\.$/)
	}
	assert.equal(own.header.typ, 'at+jwt')
	assert.deepEqual([own.claims.scope, own.claims.patient, own.granted_extra], [ownScopes, 'p-1', 'none'])
	assert.equal(entras.header.typ, 'JWT')
	assert.deepEqual([entras.claims.scp, entras.claims.scope, entras.claims.patient, entras.claims.roles, entras.claims.fhirUser, entras.granted_extra], ['patient.all.cruds', undefined, undefined, ['smartUser'], 'Patient/p-1', 'patient/*.cruds'])

	for (const result of await compare(page, 'fhirServer', 'ada', 'openid fhirUser user/Patient.rs')) {
		assert.deepEqual(result.reads, ['GET Patient: 200', 'GET Observation: ' + (result.header.typ === 'JWT' ? 200 : 403)]) // Entra's token has more than was granted
		assert.match(result.Verdict, /^A practitioner, user\/ scopes.*: works\. The sandbox agrees\.$/)
	}

	const [ofLaunch, ofCompartment] = await compare(page, 'fhirServer', '', sentScopes, 'p-2')
	assert.deepEqual(ofLaunch.reads, ['GET Patient/p-2: 200', 'GET Observation?patient=p-2: 200', 'GET Patient/p-1: 404'])
	assert.match(ofLaunch.Verdict, /whom an EHR sends.*: works.* The sandbox agrees\.$/)
	assert.deepEqual(ofCompartment.reads, ['GET Patient/p-2: 200', 'GET Observation?patient=p-2: 200', 'GET Patient/p-1: 200'])
	assert.match(ofCompartment.Verdict, /the patient of the launch is ignored.* The sandbox agrees\.$/)
	assert.deepEqual([ofCompartment.Patient, ofCompartment.claims.fhirUser], ['p-2', 'Practitioner/1'])
	await page.setViewportSize({ width: 320, height: 700 })
	assert.equal(await v.overflow(), 0)
	await page.reload() // the tab remembers
	await ready(page)
	assert.equal(await page.getByRole('article').count(), 2)
	await button(page, 'Start again').click()
	assert.ok(await page.locator('#comparison').isHidden())
})

walk('both kinds of tokens, at Firely Server', async (v, page) => {
	for (const [who, scope, fromEHR, verdict] of [['pat', ownScopes, '', /no claim patient/], ['ada', 'openid fhirUser user/Patient.rs', '', /only if the server reads scp/], ['', sentScopes, 'p-2', /no claim patient/]]) {
		const [own, entras] = await compare(page, 'firely', who, scope, fromEHR)
		assert.match(own.Verdict, /: works\. The sandbox agrees\.$/)
		assert.match(own.reads[0], /: 200$/)
		assert.match(entras.Verdict, verdict)
		assert.match(entras.Verdict, / The sandbox agrees\.$/)
		assert.ok(entras.reads.length > 1 && entras.reads.every((read) => read.endsWith(': 403')), entras.reads.join())
		assert.match(entras.claims.scp, /(patient|user)~\*\.cruds/) // and what was consented to in another spelling before
	}
	assert.deepEqual(await v.axe(), [])
})

walk('both kinds of tokens, at Azure Health Data Services', async (v, page) => {
	for (const [who, scope, fromEHR, verdict] of [['pat', ownScopes, '', /works, for users with the role “FHIR SMART User”/], ['ada', 'openid fhirUser user/Patient.rs', '', /: works/], ['', sentScopes, 'p-2', /the patient of the launch is ignored/]]) {
		const [own, entras] = await compare(page, 'ahds', who, scope, fromEHR)
		assert.match(own.Verdict, /: works for reading.* The sandbox agrees\.$/)
		assert.match(entras.Verdict, verdict)
		assert.match(entras.Verdict, / The sandbox agrees\.$/)
	}
})

walk('Entra’s own tokens, one launch', async (v, page) => {
	await prepare(page, 'ahds', 'entra')
	assert.equal(await launch(page, 'pat', ownScopes), ownScopes)
	assert.match(await page.locator('#about').textContent(), /Not granted.*patient\/\*\.cruds/)
	assert.ok(v.addresses.some((a) => a.startsWith(entra) && a.includes('patient.all.cruds') && !a.includes('laboratory')), 'Entra is asked for the registered scope')
	assert.equal((await read(page, 'Observation/p-1-3'))[0], 200) // vital-signs: the token has more than was granted
	assert.equal((await read(page, 'Patient/p-2'))[0], 404)
	assert.equal(await launch(page, 'nobody', 'openid user/Patient.rs'), 'openid user/Patient.rs')
	const [status, outcome] = await read(page, 'Patient/p-1')
	assert.equal(status, 400)
	assert.match(outcome.issue[0].diagnostics, /fhirUser/)
	const [own, entras] = await compare(page, 'ahds', 'nobody', 'openid user/Patient.rs') // one of both is refused at sign-in
	assert.match(own.Scopes, /^access_denied: /)
	assert.match(own.Verdict, /was not asked/)
	assert.match(entras.Verdict, /says nothing/)
})

walk('by keyboard', async (v, page) => {
	await prepare(page, 'firely')
	await page.locator('body').press('Control+Home')
	await v.tabTo('sign-in')
	await page.keyboard.press('Enter')
	await page.getByRole('heading', { name: '3. The app has access' }).waitFor()
	await ready(page)
	await page.keyboard.press('Tab')
	assert.equal(await page.evaluate(() => document.activeElement.id), 'read-patient')
	await page.keyboard.press('Enter')
	await answer(page, 'Read Patient/p-1: 200')
})
