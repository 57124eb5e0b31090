import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { client, inDays, secret, startBrowser, startProgram, Visitor, wrongSecret } from './harness.mjs'

let program, browser

before(async () => {
	program = await startProgram()
	browser = await startBrowser()
})

after(async () => {
	await browser?.close()
	await program?.stop()
})

// A test with a window of its own, which must end without trouble.
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

const notice = (page) => page.locator('.note h2').first().textContent()
// What has the focus, which moves a moment after a page is there.
const focused = async (page) => {
	await page.waitForFunction(() => document.activeElement !== document.body, null, { timeout: 2000 }).catch(() => {})
	return page.evaluate(() => document.activeElement.id || document.activeElement.textContent)
}

walk('a newcomer links the clinic', async (v, page) => {
	const first = await page.goto(v.base + '/')
	assert.equal(page.url(), v.base + '/api/manage/')
	assert.equal(first.status(), 200)
	assert.equal(await page.locator('h2').first().textContent(), 'No FHIR server is linked yet')
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('link', { name: 'Add a FHIR server' }).click()
	assert.equal(await v.heading(), 'Manage FHIR Server')
	assert.deepEqual(await v.axe(), [])
	await v.type('good-health-clinic', 'clinic', { description: 'Good Health Clinic' })
	assert.deepEqual(await v.axe(), [])
	await v.press('Save')
	assert.equal(page.url(), v.base + '/api/manage/servers/good-health-clinic?done=linked')
	assert.equal(await notice(page), 'Good Health Clinic is linked')
	assert.equal(await focused(page), 'Good Health Clinic is linked')
	assert.deepEqual(await v.traces(secret), [])
	assert.equal(await page.locator('ol.checks > li.good').count(), 8)
	assert.deepEqual(await v.axe(), [])
	await page.goBack()
	assert.equal(await page.getByLabel('Client Secret', { exact: true }).inputValue(), '')
	v.addresses.length = 0
	await v.go('')
	const needed = v.addresses.filter((a) => !a.endsWith('.svg') && !a.endsWith('.js')) // what is needed to paint: the script is deferred
	assert.ok(needed.length <= 2, needed.join())
	assert.match(await page.locator('main').innerText(), /1 server is linked\. Nothing needs you today\./)
	const row = page.locator('tr[data-status=active][data-secret-state=ok]')
	assert.equal(await row.count(), 1)
	assert.match(await row.innerText(), /Nothing to do/)
	assert.deepEqual(await v.axe(), [])
})

// What the pages say must be what the API says of the same fields.
const scenarios = ['clinic', 'readonly', 'norole', 'audience', 'anonymous', 'throttled', 'down', 'html', 'metadata404', 'slow', 'redirect', 'huge']
test('each scenario of the sandbox shows its heading, its fix and its command', { concurrency: 4 }, async (t) => {
	await Promise.all(scenarios.map((scenario) => t.test(scenario, async () => {
		const v = await Visitor.arrive(browser, program.base)
		const slug = `tried-${scenario}`
		const fields = { slug, description: `Clinic ${slug}`, fhirServerUrl: `https://${scenario}.fhir.sandbox.test`, clientId: client, clientSecret: secret, secretExpiresOn: inDays(300) }
		const post = (path, body) => fetch(v.base + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
		const [answer] = await Promise.all([post('/api/register', { ...fields, slug: `api-${scenario}` }), v.link(slug, scenario)])
		const api = await answer.json()
		const failed = api.report.checks.find((c) => c.status === 'fail')
		const heading = answer.status === 503 ? 'Your server could not be checked just now'
			: answer.status === 422 ? `Not linked yet: ${failed.title}`
				: api.status === 'active' ? `Clinic ${slug} is linked` : 'One step is left'
		assert.equal(await notice(v.page), heading)
		const text = await v.page.locator('main').innerText()
		for (const check of api.report.checks) {
			if (check.status !== 'fail' && check.status !== 'warn') continue
			// A check may quote a random name or an id of its own request.
			if (check.fix.length > 0) assert.ok(text.includes(check.fix), `${check.fix} is not in ${text}`)
			if (check.command) assert.ok((await v.page.locator('pre').allTextContents()).includes(check.command), `${check.command} is not in ${text}`)
		}
		if (failed && answer.status !== 201) {
			assert.equal(await v.page.getByLabel('Customized URL', { exact: true }).inputValue(), slug)
			const change = v.page.getByRole('link', { name: 'Change the fields' })
			assert.equal(await change.count(), answer.status === 422 ? 1 : 0) // what passes by itself asks for no change
			if (answer.status === 422) await change.click()
			assert.ok(answer.status === 503 || ['slug', 'fhirServerUrl', 'clientId', 'clientSecret', 'audience', 'tenantId'].some((id) => v.page.url().endsWith('#' + id)), v.page.url())
		}
		assert.deepEqual(await v.traces(secret), [])
		assert.deepEqual(await v.axe(), [])
		assert.deepEqual(v.troubles, [])
		await v.leave()
	})))
})

walk('a server without the role turns active after Check now', async (v, page) => {
	await v.link('north-ward', 'norole')
	assert.equal(await notice(page), 'One step is left')
	const text = await page.locator('.note').innerText()
	assert.match(text, /Object ID of the application: [0-9a-f-]{36}/)
	assert.match(text, /The next check by itself: \d+ \w+ \d{4}, \d\d:\d\d UTC/)
	assert.match(await page.locator('.note pre').innerText(), /^az role assignment create/)
	await page.getByRole('link', { name: 'Refresh' }).click()
	assert.equal(page.url(), v.base + '/api/manage/servers/north-ward')
	assert.deepEqual(await v.axe(), [])
	await v.go('')
	assert.equal(await page.locator('tr[data-status=pending_access]').filter({ hasText: 'north-ward' }).getByRole('link', { name: 'Give the role' }).count(), 1)
	assert.deepEqual(await v.axe(), [])
	await v.go('servers/north-ward')
	let presses = 0
	while (await page.locator('.badge.waiting').count() && presses < 4) {
		await v.press('Check now')
		presses++
	}
	assert.ok(presses >= 1 && presses <= 3, `${presses} presses`)
	assert.equal(await page.locator('.head .badge').innerText(), 'Active')
})

walk('what only works with script', async (v, page) => {
	await v.context.grantPermissions(['clipboard-read', 'clipboard-write'])
	await v.go('add')
	await page.getByText('I have no app registration yet').click()
	const command = await page.locator('details pre').textContent()
	await page.locator('details').getByRole('button', { name: 'Copy' }).click()
	assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command)
	assert.equal(await page.locator('#said').textContent(), 'Copied')
	await v.fill({ 'Client Secret': wrongSecret })
	await page.getByRole('button', { name: 'Show' }).click()
	assert.equal(await page.locator('#clientSecret').getAttribute('type'), 'text')
	assert.equal(await page.getByRole('button', { name: 'Show' }).getAttribute('aria-pressed'), 'true')
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('button', { name: 'Show' }).click()
	await v.fill({ 'FHIR Server URL': 'https://clinic.fhir.sandbox.test/metadata' })
	await page.locator('#clientId').focus()
	await page.getByText(/^Found: Azure Health Data Services, FHIR 4/).waitFor()
	await page.getByRole('link', { name: 'Dark', exact: true }).click()
	assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark')
	assert.equal(await page.locator('#clientSecret').inputValue(), wrongSecret) // nothing typed is lost
	assert.deepEqual(await v.axe(), [])
	await page.waitForFunction(async () => (await fetch('/api/manage/about').then((a) => a.text())).includes('data-theme="dark"'))
	await v.go('')
	assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark')
	assert.deepEqual(await v.axe(), [])
})

walk('empty and wrong fields', async (v, page) => {
	await v.go('add')
	await v.press('Save')
	assert.match(await page.title(), /^Error: Manage FHIR Server – /)
	assert.equal(await focused(page), 'errors')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ 'Customized URL': 'Not a slug!', Description: 'Clinic', 'FHIR Server URL': 'http://192.0.2.1/fhir', 'Client ID': 'my app', 'Client Secret': wrongSecret })
	await page.getByText('More', { exact: true }).click()
	await v.fill({ 'Tenant ID': 'my tenant' })
	await v.press('Save')
	assert.equal(await focused(page), 'errors')
	const links = page.locator('.errors a')
	const count = await links.count()
	assert.ok(count >= 4, `${count} mistakes`)
	for (let i = 0; i < count; i++) {
		const href = await links.nth(i).getAttribute('href')
		await links.nth(i).press('Enter')
		assert.equal('#' + await focused(page), href)
		assert.ok(await page.locator(href).isVisible(), `${href} is hidden`)
	}
	assert.equal(await page.locator('#slug').inputValue(), 'Not a slug!')
	assert.equal(await page.locator('#tenantId').inputValue(), 'my tenant')
	assert.equal(await page.locator('#clientSecret').inputValue(), '')
	assert.match(await page.locator('#clientSecret-again').innerText(), /Enter the secret again/)
	assert.deepEqual(await v.traces(wrongSecret), [])
	assert.deepEqual(await v.axe(), [])
})

walk('what a half typed date and a URL say before anything is sent', async (v, page) => {
	await v.go('add')
	await v.type('half-a-date', 'clinic', {})
	await page.locator('#secretExpiresOn').fill('')
	await page.locator('#secretExpiresOn').focus()
	await page.keyboard.type('12')
	await page.getByRole('button', { name: 'Save', exact: true }).click()
	assert.equal(await focused(page), 'secretExpiresOn')
	assert.equal(new URL(page.url()).pathname, '/api/manage/add')
	assert.equal(await page.locator('#clientSecret').inputValue(), secret)
	await v.fill({ 'FHIR Server URL': 'http://clinic.fhir.sandbox.test' })
	await page.locator('#clientId').focus()
	await page.locator('#fhirServerUrl-found span[lang=en]', { hasText: 'Write https:// instead of http://.' }).waitFor()
	assert.deepEqual(await v.axe(), [])
})

walk('a wrong secret leaves no trace, and a rehearsal saves nothing', async (v, page) => {
	await v.go('add')
	await v.type('wrong-secret', 'clinic', { secret: wrongSecret })
	await page.evaluate(() => {
		window.headings = new Set()
		new MutationObserver(() => {
			const heading = document.querySelector('main h2[data-words]')
			if (!heading) return
			window.headings.add(heading.textContent)
			window.titles = [...document.querySelectorAll('ol.checks strong')].map((e) => e.textContent)
		}).observe(document.querySelector('main'), { childList: true, subtree: true, characterData: true })
	})
	await v.press('Save')
	const { headings, titles } = await page.evaluate(() => ({ headings: [...window.headings], titles: window.titles }))
	assert.deepEqual(headings.slice(0, 3), ['Checking…', 'Checking… 1 of 8', 'Checking… 2 of 8'])
	assert.deepEqual(titles, await page.locator('ol.checks > li > div > strong').allTextContents()) // in the order of the report
	assert.equal(titles.length, 8)
	assert.match(await notice(page), /^Not linked yet: /)
	assert.deepEqual(await v.traces(wrongSecret), [])
	await page.getByRole('link', { name: 'Change the fields' }).click()
	assert.equal(await focused(page), 'clientSecret')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ 'Client Secret': secret })
	await v.press('Try without saving')
	assert.equal(await notice(page), 'Nothing was saved.')
	assert.deepEqual(await v.traces(secret), [])
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('link', { name: 'Save now' }).click()
	assert.equal(await focused(page), 'clientSecret')
	await v.fill({ 'Client Secret': secret })
	await v.press('Save')
	assert.equal(await notice(page), 'Clinic wrong-secret is linked')
	await v.link('wrong-secret', 'clinic')
	assert.ok(await page.getByRole('heading', { name: 'You have linked this already' }).isVisible())
	assert.deepEqual(await v.axe(), [])
})

walk('somebody changes the server meanwhile', async (v, page) => {
	await v.link('two-tabs', 'clinic')
	for (const [below, button] of [['edit', 'Save'], ['secret', 'Replace'], ['delete', 'Delete']]) {
		await v.go(`servers/two-tabs/${below}`)
		assert.deepEqual(await v.axe(), [])
		const changed = await fetch(`${v.base}/api/links/two-tabs`, {
			method: 'PATCH', headers: { 'Content-Type': 'application/json', 'If-Match': '*' }, body: JSON.stringify({ description: `Theirs before ${below}`, secretExpiresOn: inDays(200 + below.length) }),
		})
		assert.equal(changed.status, 200)
		if (below === 'edit') await v.fill({ Description: 'Mine' })
		if (below === 'secret') await v.fill({ 'Client Secret': secret, 'Secret ends on': inDays(400) })
		if (below === 'delete') await page.locator('#slug').fill('two-tabs')
		await v.press(button)
		assert.equal(await notice(page), 'Somebody changed this server meanwhile')
		assert.equal(await focused(page), 'Somebody changed this server meanwhile')
		assert.deepEqual(await v.axe(), [])
		assert.deepEqual(await v.traces(secret), [])
		if (below === 'delete') continue
		const cells = await page.locator('section td').allInnerTexts()
		assert.ok(below === 'edit' ? cells.includes('Theirs before edit') && cells.includes('Mine') : cells.includes(inDays(206)) && cells.includes(inDays(400)), cells.join())
		assert.equal(await page.getByRole('link', { name: 'Keep theirs' }).count(), 1)
		if (below === 'secret') await v.fill({ 'Client Secret': secret })
		await v.press('Save mine')
		assert.match(await notice(page), /saved|replaced/)
	}
	assert.match(await v.heading(), /^Delete Theirs before delete\?$/)
	await page.locator('#slug').fill('two-tab')
	await v.press('Delete')
	assert.equal(await focused(page), 'errors')
	assert.deepEqual(await v.axe(), [])
	await page.locator('#slug').fill('two-tabs')
	await v.press('Delete')
	assert.equal(await notice(page), 'The server was deleted.')
	assert.equal((await v.go('servers/two-tabs')).status(), 404)
	assert.deepEqual(await v.axe(), [])
})

walk('by keyboard alone', async (v, page) => {
	await v.go('')
	await page.keyboard.press('Tab')
	assert.equal(await focused(page), 'Skip to the content')
	await page.keyboard.press('Enter')
	assert.equal(await focused(page), 'main')
	await v.tabTo('Add a FHIR server')
	await page.keyboard.press('Enter')
	await page.waitForURL('**/add')
	for (const [id, value] of [
		['slug', 'by-keyboard'], ['description', 'By keyboard'], ['fhirServerUrl', 'https://clinic.fhir.sandbox.test'], ['clientId', client], ['clientSecret', secret],
	]) {
		await v.tabTo(id)
		await page.keyboard.type(value)
	}
	await v.tabTo('Save')
	const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
	assert.notEqual(outline, 'none')
	await page.keyboard.press('Enter')
	await page.waitForURL('**/servers/by-keyboard?done=linked')
	await v.tabTo('Delete')
	await page.keyboard.press('Enter')
	await page.waitForURL('**/delete')
	await v.tabTo('slug')
	await page.keyboard.type('by-keyboard')
	await page.keyboard.press('Enter')
	await page.waitForURL('**/?done=deleted')
})

walk('script is off', async (v, page) => {
	await v.link('no-script', 'clinic')
	assert.match(await page.locator('.note h2').first().innerText(), /is linked/)
}, { javaScriptEnabled: false })

walk('scopes', async (v, page) => {
	const vectors = JSON.parse(readFileSync(new URL('../../../shared/smart/testdata/scopes.json', import.meta.url))).filter((x) => x.firely)
	await v.go('scopes')
	assert.deepEqual(await v.axe(), [])
	await v.press('Translate')
	assert.equal(await focused(page), 'errors')
	assert.deepEqual(await v.axe(), [])
	for (const id of ['scope', 'separator']) {
		if (id === 'separator') {
			await page.locator('#scope').fill('openid')
			await page.locator('#separator').fill('abc')
			await v.press('Translate')
		}
		assert.equal(await page.locator('#' + id).getAttribute('aria-invalid'), 'true')
		assert.ok((await page.locator('#' + id).getAttribute('aria-describedby')).includes(id + '-mistake'))
		assert.ok(await page.locator(`#${id}-mistake`).isVisible())
		assert.deepEqual(await v.axe(), [])
	}
	await page.locator('#separator').fill('')
	const scopes = [...new Set(vectors.map((x) => x.scope))]
	await v.fill({ Scopes: scopes.join('\n') })
	await v.press('Compare dialects')
	const cells = (n) => page.locator('table').first().locator(`tbody td:nth-child(${n})`).allTextContents()
	const there = await cells(2)
	assert.deepEqual(await cells(1), scopes)
	assert.deepEqual(there, scopes.map((s) => vectors.find((x) => x.scope === s).firely))
	assert.equal(await page.locator('td').getByText('Reads back unchanged').count(), scopes.length)
	assert.deepEqual(await v.axe(), [])
	await v.fill({ Scopes: there.join('\n') })
	await page.getByLabel('Direction').selectOption('decode')
	await v.press('Translate')
	assert.deepEqual(await cells(1), scopes)
	const [download] = await Promise.all([page.waitForEvent('download'), v.press('Download for Entra')])
	assert.equal(download.suggestedFilename(), 'permissions.json')
	assert.ok(Array.isArray(JSON.parse(readFileSync(await download.path(), 'utf8')).api.oauth2PermissionScopes))
})

walk('notifications and about', async (v, page) => {
	await v.go('notifications')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ Address: 'ftp://x' })
	await v.press('Add')
	assert.equal(await focused(page), 'errors')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ Address: 'https://webhooks.sandbox.test/', Description: 'Our tickets' })
	await v.press('Add')
	const key = await page.locator('.note pre').innerText()
	assert.match(key, /^whsec_/)
	assert.deepEqual(await v.axe(), [])
	await v.press('Send a test')
	assert.equal(await notice(page), 'The test has arrived')
	assert.ok(!(await page.content()).includes(key))
	assert.deepEqual(await v.axe(), [])
	assert.match(await page.locator('main').innerText(), /Last delivery:.*delivered/)
	for (const button of ['Switch off', 'Switch on', 'New key']) await v.press(button)
	assert.notEqual(await page.locator('.note pre').innerText(), key)
	assert.ok(!await page.getByRole('button', { name: 'Delete this webhook' }).isVisible())
	await page.locator('form summary', { hasText: 'Delete' }).click()
	assert.deepEqual(await v.axe(), [])
	await v.press('Delete this webhook')
	assert.equal(await notice(page), 'The webhook was removed.')
	await v.go('about')
	assert.deepEqual(await v.axe(), [])
	await v.fill({ 'Customized URL': 'invited', Description: 'Invited clinic' })
	await v.press('Make an invitation')
	assert.equal(await page.locator('#invite ~ .note pre').innerText(), `${v.base}/api/manage/add?description=Invited+clinic&slug=invited`)
	assert.deepEqual(await v.axe(), [])
	await page.getByRole('link', { name: 'Open the invitation' }).click()
	assert.equal(await page.locator('#slug').inputValue(), 'invited')
	await v.go(`add?slug=invited&clientSecret=${wrongSecret}&fhirServerUrl=https://evil.example`)
	assert.equal(await page.locator('#fhirServerUrl').inputValue(), '')
	assert.ok(!page.url().includes('canary'))
	assert.deepEqual(await v.axe(), [])
})

const everyPage = ['', 'add', 'servers/good-health-clinic', 'servers/good-health-clinic/edit', 'servers/good-health-clinic/secret', 'servers/good-health-clinic/delete', 'scopes', 'notifications', 'about', 'none']

walk('narrow windows and large zoom need no horizontal scrolling', async (v, page) => {
	for (const viewport of [{ width: 320, height: 700 }, { width: 320, height: 256 }]) { // 1280 x 1024 at 400 %
		await page.setViewportSize(viewport)
		for (const path of everyPage) {
			await v.go(path)
			assert.equal(await v.overflow(), 0, `${path} is wider than ${viewport.width} px`)
		}
		await v.go('add')
		await v.press('Save')
		assert.equal(await v.overflow(), 0, 'the mistakes are wider')
		await v.link(`narrow-${viewport.height}`, 'html')
		assert.equal(await v.overflow(), 0, 'the failed check is wider')
		await v.go('scopes')
		await v.fill({ Scopes: 'patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory' })
		await v.press('Compare dialects')
		assert.equal(await v.overflow(), 0, 'the table of scopes is wider')
	}
	assert.equal(await page.goto(v.base + '/api/manage/').then(() => page.locator('.timeline').isVisible()), false)
})

walk('in German', async (v, page) => {
	const look = async (what) => {
		assert.equal(await page.locator('html').getAttribute('lang'), 'de')
		assert.deepEqual(await v.untranslated(), [], what)
		assert.deepEqual(await v.axe(), [], what)
		assert.equal(await v.overflow(), 0, what)
	}
	for (const viewport of [{ width: 1280, height: 900 }, { width: 320, height: 700 }]) {
		await page.setViewportSize(viewport)
		for (const path of everyPage) {
			await v.go(path)
			await look(path)
		}
		await v.go('add')
		await v.press('Speichern')
		assert.match(await page.title(), /^Fehler: FHIR-Server verwalten – /)
		assert.equal(await page.locator('.errors h2').textContent(), 'Es gibt 5 Probleme')
		await look('mistakes')
		await v.type(`klinik-${viewport.width}`, 'readonly', { secret: wrongSecret, ends: '2027-03-09' })
		await v.press('Speichern')
		assert.match(await notice(page), /^Noch nicht verknüpft: /)
		await look('a failed check')
		await v.type(`klinik-${viewport.width}`, 'readonly', { ends: '2027-03-09' })
		await v.press('Speichern')
		assert.equal(await notice(page), `Clinic klinik-${viewport.width} ist verknüpft`)
		assert.match(await page.locator('section').filter({ hasText: 'Läuft ab:' }).first().innerText(), /9\. März 2027/)
		await look('a linked server')
	}
	await v.go('servers/klinik-320/delete')
	await page.locator('#slug').fill('klinik')
	await v.press('Löschen')
	assert.equal(await page.locator('.errors a:not([lang])').textContent(), 'Ihre Eingabe ist nicht die individuelle URL dieses Servers.')
	await look('another slug')
	await v.go('servers/klinik-320/edit')
	await page.locator('#fhirServerUrl').fill('https://clinic.fhir.sandbox.test')
	await v.press('Speichern')
	assert.match(await page.locator('.errors a').textContent(), /^Geändert: URL des FHIR-Servers\./)
	await look('the secret is needed again')
	await v.go('scopes')
	await v.press('Übersetzen')
	await look('no scope')
	await v.fill({ Scopes: 'patient/Observation.rs nonsense/*.rs' })
	await v.press('Dialekte vergleichen')
	await look('scopes')
	await v.go('')
	await page.getByRole('link', { name: 'English', exact: true }).click()
	assert.equal(await v.heading(), 'FHIR servers')
	await v.go('about')
	assert.equal(await v.heading(), 'About') // the choice is kept
	assert.equal(await page.locator('html').getAttribute('lang'), 'en')
	await page.getByRole('link', { name: 'Deutsch', exact: true }).click()
	assert.equal(await v.heading(), 'Info')
}, { locale: 'de-AT' })

walk('forced colours keep badges apart', async (v, page) => {
	await page.emulateMedia({ forcedColors: 'active' })
	await v.go('servers/good-health-clinic')
	assert.notEqual(await page.locator('.badge').first().evaluate((e) => getComputedStyle(e).borderTopStyle), 'none')
})

walk('the print of a server is one page', async (v, page) => {
	await v.link('printed', 'norole')
	for (let i = 0; i < 12; i++) await v.press('Check now')
	await v.go('servers/printed')
	await page.emulateMedia({ media: 'print' })
	assert.equal(await page.locator('.history li:visible').count(), 10)
	await page.emulateMedia({ media: null })
	await v.link('printed-waiting', 'norole')
	await v.link('printed-linked', 'clinic')
	for (const slug of ['printed', 'printed-waiting', 'printed-linked']) {
		assert.equal((await v.go(`servers/${slug}`)).status(), 200)
		const pdf = await page.pdf({ preferCSSPageSize: true })
		const sheets = pdf.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g).length
		assert.equal(sheets, 1, `${slug} takes ${sheets} sheets`)
	}
})

walk('a report is copied and printed', async (v, page) => {
	await v.context.grantPermissions(['clipboard-read', 'clipboard-write'])
	await page.addInitScript(() => { window.print = () => { window.printed = true } }) // the dialog would wait for a person
	await v.go('servers/good-health-clinic')
	const report = page.locator('#last')
	await report.getByRole('button', { name: 'Copy', exact: true }).last().click()
	await page.waitForFunction(() => document.getElementById('said').textContent === 'Copied')
	const copied = await page.evaluate(() => navigator.clipboard.readText())
	assert.equal(copied, await (await fetch(`${v.base}/api/manage/servers/good-health-clinic/report.json`)).text())
	assert.equal(JSON.parse(copied).report.checks.length, 8)
	await report.getByRole('button', { name: 'Print', exact: true }).click()
	assert.equal(await page.evaluate(() => window.printed), true)
})

walk('the downloads hold no secret', async (v, page) => {
	await v.go('servers/good-health-clinic')
	const texts = []
	for (const [path, name] of [['servers/good-health-clinic', 'Download'], ['', 'Download CSV']]) {
		await v.go(path)
		const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name, exact: true }).click()])
		texts.push(readFileSync(await download.path(), 'utf8'))
	}
	assert.equal(JSON.parse(texts[0]).report.checks.length, 8)
	assert.match(texts[1], /good-health-clinic/)
	for (const text of texts) assert.ok(!text.includes(secret))
})
