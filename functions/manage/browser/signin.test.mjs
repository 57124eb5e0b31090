// People sign in at cmd/local -sign-in, at the sandbox's Entra.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { entra, inDays, secret, startBrowser, startProgram, Visitor, wrongSecret } from './harness.mjs'

let program, browser, patient, patientSince, waiting, paused

before(async () => {
	program = await startProgram('-sign-in')
	browser = await startBrowser()
	// This one waits at Entra until the last test: longer than the two minutes for which Chromium lets new
	// cookies come along that say nothing of SameSite.
	patient = await Visitor.arrive(browser, program.base)
	await begin(patient)
	patientSince = Date.now()
	// And these two look at a server without the role, which needs the third of the checks. The service
	// makes it by itself after one to two minutes.
	waiting = await Visitor.arrive(browser, program.base)
	await signIn(waiting)
	await waiting.link('north-ward', 'norole')
	await waiting.press('Check now')
	await waiting.press('Check now')
	await waiting.go('servers/north-ward')
	paused = await waiting.tab()
	await paused.goto(waiting.page.url())
	await paused.getByRole('button', { name: 'Pause' }).click()
	for (const page of [waiting.page, paused]) await page.evaluate(() => { window.untouched = true })
})

after(async () => {
	await browser?.close()
	await program?.stop()
})

function walk(name, steps, options) {
	test(name, async () => {
		const v = await Visitor.arrive(browser, program.base, options)
		try {
			await steps(v, v.page)
			assert.deepEqual(v.troubles, [])
		} finally {
			await v.leave()
		}
	})
}

// From a page of ours to Entra's.
async function begin(v, page = v.page, path = '') {
	await page.goto(v.base + '/api/manage/' + path)
	await page.getByRole('link', { name: 'Sign in with Microsoft', exact: true }).click()
	await page.waitForURL(ofEntra)
}

// Chooses an account at Entra, and how Entra answers. Ends at a page of ours.
async function choose(v, user, answer = '', page = v.page) {
	assert.equal(await page.locator('h1').textContent(), 'Pick an account')
	await page.getByLabel('Entra answers').selectOption(answer)
	await page.getByRole('button', { name: `(${user}@` }).click()
	await page.waitForURL(v.base + '/**')
}

async function signIn(v, user = 'ada', path = '') {
	await begin(v, v.page, path)
	await choose(v, user)
}

const ofEntra = (url) => url.href.startsWith(entra)
const heading = (page) => page.locator('h1').textContent()
const sessionOf = async (v) => (await v.context.cookies(v.base)).filter((c) => c.name === '__Host-session')

walk('ada signs in, links a server, and signs out of both', async (v, page) => {
	await v.go('add?slug=invited&description=Invited%20%26%20more')
	assert.equal(await heading(page), 'Sign in')
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('link', { name: 'Sign in with Microsoft', exact: true }).click()
	await page.waitForURL(ofEntra)
	await choose(v, 'ada')
	assert.equal(page.url(), v.base + '/api/manage/add?slug=invited&description=Invited%20%26%20more')
	assert.equal(await page.locator('#description').inputValue(), 'Invited & more')
	assert.equal(await page.locator('#contacts').inputValue(), 'ada@clinic.sandbox.test')
	assert.deepEqual(await v.axe(), [])
	await v.type('signed-in-clinic', 'clinic')
	await v.press('Save')
	assert.equal(await page.locator('.note h2').first().textContent(), 'Clinic signed-in-clinic is linked')
	assert.match(await page.locator('.history').innerText(), /linked · You/)
	assert.deepEqual(await v.traces(secret), [])
	assert.deepEqual(await v.axe(), [])
	const cookies = await v.context.cookies(v.base)
	assert.deepEqual(cookies.map((c) => [c.name, c.httpOnly, c.secure, c.sameSite, c.path]), [['__Host-session', true, true, 'Lax', '/']])
	for (const text of ['Ada', 'ada@', 'lovelace']) assert.ok(!cookies[0].value.toLowerCase().includes(Buffer.from(text).toString('base64url').toLowerCase()))
	await v.press('Sign out')
	assert.equal(await heading(page), 'You are signed out here')
	assert.deepEqual(await v.axe(), [])
	assert.deepEqual(await sessionOf(v), [])
	await page.goBack()
	assert.equal(await heading(page), 'Sign in') // no page is kept
	await v.go('signed-out')
	await page.getByRole('link', { name: 'Sign out of Microsoft too' }).click()
	await page.waitForURL(v.base + '/api/manage/signed-out')
	await begin(v)
	assert.equal(await heading(page), 'Pick an account')
})

const answers = {
	declined: 'You did not let this app know who you are',
	'consent-missing': 'Your organization has not approved this app yet',
	'admin-consent': 'Your organization has not approved this app yet',
	'id-tokens-off': 'This service is not set up for sign-in yet',
	'not-assigned': 'You are not assigned to this app yet',
	blocked: 'A rule of your organization stops this sign-in',
	busy: 'Microsoft Entra has trouble just now',
	strange: 'Microsoft Entra refused the sign-in',
	'clock-behind': 'The clock of this service is wrong',
	'clock-ahead': 'The clock of this service is wrong',
	forged: "Microsoft's answer could not be accepted",
	'wrong-nonce': "Microsoft's answer could not be accepted",
	'wrong-state': 'This sign-in did not begin here',
	'another-organization': 'Your organization may not use this service yet',
}

for (const [answer, want] of Object.entries(answers)) {
	walk(`Entra answers: ${answer}`, async (v, page) => {
		await begin(v)
		await choose(v, 'ada', answer)
		assert.equal(await heading(page), want)
		assert.match(await page.title(), new RegExp(`${want} – fhirlink$`))
		assert.deepEqual(await v.axe(), [])
		assert.deepEqual(await sessionOf(v), [])
		assert.equal(await v.overflow(), 0)
		// What the page offers leads to a session.
		const way = page.getByRole('main').getByRole('link', { name: /^(Sign in|Sign in again|Use another account)$/ }).first()
		await way.click()
		await page.waitForURL(answer.endsWith('organization') || !(await atEntra(v)) ? ofEntra : v.base + '/api/manage/')
		if (page.url().startsWith(entra)) await choose(v, 'ada')
		assert.equal(await heading(page), 'FHIR servers')
	})
}

const atEntra = async (v) => (await v.context.cookies(entra + '1')).length > 0

walk('an administrator approves the app', async (v, page) => {
	await v.go('')
	await page.getByRole('link', { name: 'First time? Your Entra administrator approves this app once' }).click()
	await page.waitForURL(ofEntra)
	await page.getByRole('button', { name: 'Accept' }).click()
	await page.waitForURL(v.base + '/**')
	assert.equal(await heading(page), 'Approved. Sign in')
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('link', { name: 'Sign in', exact: true }).click()
	await page.waitForURL(ofEntra)
	await choose(v, 'ada', 'key-rotated')
	assert.equal(await heading(page), 'FHIR servers')
})

walk('who has no role is told how to get it', async (v, page) => {
	await signIn(v, 'nobody')
	assert.equal(await heading(page), 'Your account may not manage FHIR servers yet')
	const text = await page.locator('main').innerText()
	for (const part of ['Nobody Inparticular', 'nobody@clinic.sandbox.test', '11111111-1111-4111-8111-111111111111', 'az rest --method post']) assert.ok(text.includes(part), part)
	assert.deepEqual(await v.axe(), [])
	assert.equal(await v.overflow(), 0)
	await page.getByRole('link', { name: 'Check again' }).click()
	await page.waitForURL(v.base + '/api/manage/')
	assert.equal(await heading(page), 'Your account may not manage FHIR servers yet')
	await page.getByRole('link', { name: 'Use another account' }).click()
	await page.waitForURL(ofEntra)
	await choose(v, 'ada')
	assert.equal(await heading(page), 'FHIR servers')
})

walk('a guest names the organization', async (v, page) => {
	await signIn(v, 'guest', 'add')
	assert.equal(await heading(page), 'Your account may not manage FHIR servers yet')
	await page.getByRole('link', { name: 'Switch organization' }).click()
	assert.equal(await heading(page), 'Switch organization')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ Organization: 'Contoso and sons' })
	await v.press('Sign in with Microsoft')
	assert.equal(await page.evaluate(() => document.activeElement.id), 'errors')
	assert.equal(await page.locator('#organization').inputValue(), 'Contoso and sons')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ Organization: 'clinic.sandbox.test' })
	await v.press('Sign in with Microsoft')
	await page.waitForURL(v.base + '/api/manage/')
	assert.equal(await heading(page), 'FHIR servers')
	await page.getByText('Organization', { exact: true }).click()
	assert.ok(await page.getByText('11111111-1111-4111-8111-111111111111').isVisible())
})

walk('the pages of the sign-in in German', async (v, page) => {
	const look = async (want) => {
		assert.equal(await heading(page), want)
		assert.deepEqual(await v.untranslated(), [], want)
		assert.deepEqual(await v.axe(), [], want)
		await page.setViewportSize({ width: 320, height: 700 })
		assert.equal(await v.overflow(), 0, want)
		await page.setViewportSize({ width: 1280, height: 900 })
	}
	await v.go('')
	await look('Anmelden')
	await page.getByRole('main').getByRole('link', { name: 'Mit Microsoft anmelden' }).click()
	await page.waitForURL(ofEntra)
	await choose(v, 'nobody')
	await look('Ihr Konto darf noch keine FHIR-Server verwalten')
	await page.getByRole('link', { name: 'Anderes Konto verwenden' }).click()
	await page.waitForURL(ofEntra)
	await choose(v, 'ada', 'consent-missing')
	await look('Ihre Organisation hat diese App noch nicht genehmigt')
	await v.go('consented')
	await look('Genehmigt. Melden Sie sich an')
	await v.go('organization')
	await look('Organisation wechseln')
	await v.go('')
	await v.press('Abmelden')
	await look('Sie sind hier abgemeldet')
	await v.go('close')
	await look('Schließen Sie diesen Tab, und klicken Sie auf „Speichern“')
}, { locale: 'de-DE' })

walk('two tabs sign in at once', async (v, page) => {
	const other = await v.tab()
	await begin(v, page, 'add')
	await begin(v, other, 'notifications')
	await choose(v, 'ada', '', other)
	assert.equal(await heading(other), 'Notifications')
	await choose(v, 'ada')
	assert.equal(await heading(page), 'Manage FHIR Server')
	assert.equal((await sessionOf(v)).length, 1)
})

walk('another person signs in in the other tab', async (v, page) => {
	await signIn(v, 'ada', 'add')
	await v.type('whose-form', 'clinic')
	const other = await v.tab()
	await other.goto(v.base + '/api/manage/sign-in?organization=clinic.sandbox.test&prompt=select_account')
	await other.waitForURL(ofEntra)
	await choose(v, 'guest', '', other)
	await v.press('Save')
	assert.equal(await page.locator('.note h2').first().textContent(), 'You are now signed in as Grace Guest')
	assert.match(await page.locator('.account').innerText(), /Grace Guest/)
	assert.equal(await page.locator('#slug').inputValue(), 'whose-form') // nothing that was typed is lost
	assert.deepEqual(await v.axe(), [])
	await v.go('servers/whose-form')
	assert.equal(await heading(page), 'There is no such FHIR server')
})

walk('the session ends while a form is filled in', async (v, page) => {
	await signIn(v, 'ada', 'add')
	await v.type('lost-session', 'clinic', { secret: wrongSecret })
	await v.context.clearCookies({ name: '__Host-session' })
	await v.press('Save')
	assert.equal(await heading(page), 'Manage FHIR Server')
	assert.equal(await page.locator('.note h2').first().textContent(), 'You are not signed in any more')
	assert.equal(await page.locator('#slug').inputValue(), 'lost-session')
	assert.equal(await page.locator('#secretExpiresOn').inputValue(), inDays(300))
	assert.equal(await page.locator('#clientSecret').inputValue(), wrongSecret) // the script leaves the form as it is
	assert.deepEqual(await v.traces(wrongSecret), ['fields'])
	assert.deepEqual(await v.axe(), [])
	const [tab] = await Promise.all([v.context.waitForEvent('page'), page.getByRole('link', { name: 'Sign in again' }).click()])
	v.watch(tab)
	await tab.waitForURL(v.base + '/api/manage/close')
	assert.equal(await heading(tab), 'Close this tab and press Save')
	await tab.close()
	await v.fill({ 'Client Secret': secret })
	await v.press('Save')
	assert.equal(await page.locator('.note h2').first().textContent(), 'Clinic lost-session is linked')
})

test('the session ends while a form is filled in, without script', async () => {
	const v = await Visitor.arrive(browser, program.base, { javaScriptEnabled: false })
	await v.go('')
	const entrance = await v.page.getByRole('link', { name: 'Sign in with Microsoft', exact: true }).getAttribute('href')
	await v.page.goto(entrance.replace(/to=[^&]*/, 'to=%2Fapi%2Fmanage%2Fadd'))
	await v.page.waitForURL(ofEntra)
	await v.page.getByRole('button', { name: '(ada@' }).click()
	await v.page.getByRole('button', { name: 'Continue' }).click()
	await v.page.waitForURL(v.base + '/api/manage/add')
	await v.type('lost-quietly', 'clinic', { secret: wrongSecret })
	await v.context.clearCookies({ name: '__Host-session' })
	await v.page.getByRole('button', { name: 'Save', exact: true }).click()
	assert.equal(await v.page.locator('.note h2').first().textContent(), 'You are not signed in any more')
	assert.equal(await v.page.locator('#slug').inputValue(), 'lost-quietly')
	assert.equal(await v.page.locator('#clientSecret').inputValue(), '')
	assert.ok(!(await v.page.content()).includes('canary'))
	assert.deepEqual(v.troubles, [])
	await v.leave()
})

walk('cookies are refused', async (v, page) => {
	await begin(v)
	await v.context.clearCookies() // as if they had not been kept
	await choose(v, 'ada')
	assert.equal(await heading(page), 'Your browser refuses our cookie')
	assert.deepEqual(await v.axe(), [])
})

walk('a sign-in ends at pages of ours only', async (v, page) => {
	await signIn(v)
	for (const to of ['//evil.example', '\\evil.example', '/\\evil.example', 'https://evil.example/', '/api/manage/../..', '/api/manage/%2e%2e/%2e%2e', '/api/manage/..%2f..', '/api/manage//evil.example', '/api/manage/sign-in', '/api/manage/signed-in?x']) {
		await v.go('sign-in?to=' + encodeURIComponent(to))
		await page.waitForURL(v.base + '/api/manage/')
		assert.equal(await heading(page), 'FHIR servers', to)
	}
})

walk('other sites may lead here, and do nothing', async (v, page) => {
	await signIn(v)
	const elsewhere = await v.tab()
	const leave = async () => {
		await elsewhere.goto((await entraSite(v)) + '/')
		assert.equal(await heading(elsewhere), 'There is no such page')
	}
	await leave()
	await Promise.all([elsewhere.waitForURL(v.base + '/api/manage/'), elsewhere.evaluate((to) => { location.href = to }, v.base + '/api/manage/')])
	assert.equal(await heading(elsewhere), 'FHIR servers') // a link of another site opens
	for (const path of ['add', 'notifications', 'sign-out', 'scopes']) {
		await leave()
		await Promise.all([elsewhere.waitForURL(v.base + '/**'), elsewhere.evaluate((to) => {
			const form = document.createElement('form')
			Object.assign(form, { method: 'post', action: to })
			form.append(Object.assign(document.createElement('input'), { name: 'do', value: 'save' }))
			document.body.append(form)
			form.submit()
		}, v.base + '/api/manage/' + path)])
		assert.equal(await heading(elsewhere), 'You may not do this', path)
	}
	await leave()
	await elsewhere.evaluate((src) => new Promise((resolve) => {
		const frame = Object.assign(document.createElement('iframe'), { src, onload: resolve })
		document.body.append(frame)
	}), v.base + '/api/manage/')
	assert.ok(!(await elsewhere.frames().at(-1).locator('h1').allTextContents()).includes('FHIR servers'))
	const refusals = v.troubles.filter((t) => /frame-ancestors|ERR_BLOCKED_BY_RESPONSE/.test(t))
	assert.ok(refusals.length > 0)
	v.troubles = v.troubles.filter((t) => !refusals.includes(t))
	await page.reload()
	assert.equal(await heading(page), 'FHIR servers')
})

// Where this program's Entra is: its port is in the address that a sign-in leads to.
async function entraSite(v) {
	const text = await (await fetch(v.base + '/api/manage/sign-in')).text()
	return text.match(/href="(http:\/\/127\.0\.0\.1:\d+)\//)[1]
}

walk('a session of another deployment counts for nothing', async (v, page) => {
	await signIn(v)
	const another = await startProgram('-sign-in')
	try { // cookies do not know ports, so that its pages get this one's cookie
		v.also.push(another.base + '/')
		await page.goto(another.base + '/api/manage/')
		assert.equal(await heading(page), 'Sign in')
	} finally {
		await another.stop()
	}
	await v.go('')
	assert.equal(await heading(page), 'FHIR servers')
})

walk('whoever takes longer than two minutes at Entra is signed in all the same', async () => {
	await new Promise((resolve) => setTimeout(resolve, Math.max(0, 125e3 - (Date.now() - patientSince))))
	await choose(patient, 'ada')
	assert.equal(await heading(patient.page), 'FHIR servers')
	assert.deepEqual(patient.troubles, [])
	await patient.leave()
})

test('a server that waits for access turns active on the page by itself, unless that is paused', async () => {
	const { page } = waiting
	await page.waitForFunction(() => document.querySelector('#state').textContent === 'Active', null, { timeout: 150e3 })
	assert.equal(await page.evaluate(() => window.untouched), true) // it is no other document
	assert.equal(await page.locator('#status h2').textContent(), 'Clinic north-ward is linked')
	assert.equal(await page.locator('#last li.good').count(), 8)
	assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 0)
	assert.deepEqual(await waiting.axe(), [])
	assert.equal(await paused.evaluate(() => window.untouched), true)
	assert.equal(await paused.locator('#state').textContent(), 'Waiting for access')
	assert.equal(await paused.getByRole('button', { name: 'Pause' }).getAttribute('aria-pressed'), 'true')
	assert.deepEqual(waiting.troubles, [])
	await waiting.leave()
})

walk('five minutes before a session ends, people can stay', async (v, page) => {
	const note = page.getByRole('heading', { name: 'Your session ends in a few minutes' })
	await signIn(v)
	let left = 300 // only the page's clock moves, so the server's answer is changed to what it would say
	await page.route('**/api/manage/about', async (route) => {
		const answer = await route.fetch()
		await route.fulfill({ response: answer, body: (await answer.text()).replace(/data-left="\d+"/, `data-left="${left}"`) })
	})
	await page.clock.install()
	await v.go('add')
	await v.type('still-typing', 'clinic')
	await page.clock.fastForward('54:30')
	assert.equal(await note.count(), 0)
	await page.clock.fastForward('00:30')
	await note.waitFor()
	assert.deepEqual(await v.axe(), [])
	const [tab] = await Promise.all([v.context.waitForEvent('page'), page.getByRole('link', { name: 'Stay signed in' }).click()])
	v.watch(tab)
	await tab.waitForURL(v.base + '/api/manage/close')
	await tab.close()
	assert.equal(await note.count(), 0)
	left = 3570
	await Promise.all([page.waitForResponse('**/about'), page.clock.fastForward('00:30')])
	assert.equal(await page.locator('#clientSecret').inputValue(), secret)
	await page.clock.fastForward('54:00')
	assert.equal(await note.count(), 0)
	left = 2000 // another tab has renewed the session
	await Promise.all([page.waitForResponse('**/about'), page.clock.fastForward('01:00')])
	assert.equal(await note.count(), 0)
	left = 300
	await page.clock.fastForward('30:00')
	await note.waitFor() // of the new session
})

// The clock moves by 50 minutes between two starts: ten are left of each session.
walk('a session ends while a server waits for access', async (v, page) => {
	await signIn(v)
	await v.link('waits-on', 'fhir-403-rbac')
	await page.clock.install()
	await v.go('servers/waits-on')
	const cookies = await v.context.cookies()
	await v.context.clearCookies()
	await page.clock.fastForward('00:15')
	await page.getByRole('heading', { name: 'Your session has ended.' }).waitFor()
	assert.deepEqual(await v.axe(), [])
	await v.context.addCookies(cookies)
	await page.clock.fastForward('00:15')
	await page.locator('#staying').waitFor({ state: 'detached' })
})

test('a session that ends soon is renewed, and no form is lost', async () => {
	const visitors = []
	const first = await Visitor.arrive(browser, program.base)
	await signIn(first)
	await first.link('linked-early', 'clinic')
	await first.leave()
	for (const path of ['', 'add', 'servers/linked-early']) {
		const v = await Visitor.arrive(browser, program.base)
		await signIn(v, 'ada', path)
		visitors.push(v)
	}
	const [searcher, saver, reader] = visitors
	await saver.type('saved-late', 'clinic')
	await program.restart('-now', '+50m')
	await searcher.fill({ Search: 'linked-early' })
	await searcher.press('Show')
	await searcher.page.waitForURL('**/api/manage/?q=linked-early*')
	assert.equal(await heading(searcher.page), 'FHIR servers')
	assert.equal(await searcher.page.locator('tbody tr').count(), 1)
	await saver.press('Save')
	await saver.page.waitForURL('**/servers/saved-late?done=linked')
	assert.equal(await saver.page.locator('.note h2').first().textContent(), 'Clinic saved-late is linked')
	await reader.press('Check now')
	await reader.page.waitForURL('**/servers/linked-early?done=checked')
	for (const v of visitors) {
		assert.ok(v.addresses.some((a) => a.includes('prompt=none')), 'there was no renewal')
		v.addresses.length = 0
		await v.go('about')
		assert.ok(!v.addresses.some((a) => a.includes('prompt=none')), 'it is renewed again')
	}
	await program.restart('-now', '+105m') // past the end of the first session, not of the renewed one
	for (const v of visitors) {
		await v.context.clearCookies({ name: '__Host-renewed' })
		await v.go('')
		await v.page.waitForURL(v.base + '/api/manage/')
		assert.equal(await heading(v.page), 'FHIR servers')
		assert.deepEqual(v.troubles, [])
		await v.leave()
	}
})
