// A SMART app in a page: SMART App Launch 2.2, standalone and EHR launch, with PKCE. It uses nothing but what
// browsers have. All that it knows is in this tab's sessionStorage, so that tabs do not mix.
// @ts-check

import { contextOf, requestsFor, verdict } from './compare.js'

/** @typedef {import('./compare.js').Issuer} Issuer */
/** @typedef {import('./compare.js').Result} Result */
/** @typedef {{clientId: string, scopes: string[]}} App what this site is registered as */
/** @typedef {{slug: string, description: string, server: string, tokens: Issuer, fhir: string, apps: App[]}} Link */
/** @typedef {{title: string, request: string, answer?: string, bad?: boolean}} Entry what was asked, and what was answered */
/** @typedef {{access_token: string, scope: string, expires_in: number, granted_extra?: string, refresh_token?: string, id_token?: string, patient?: string, encounter?: string, intent?: string, fhirContext?: {reference?: string}[]}} Tokens */
/**
 * @typedef {object} Session
 * @property {Link} link
 * @property {string} clientId
 * @property {{authorization_endpoint: string, token_endpoint: string, revocation_endpoint: string}} smart
 * @property {string} state
 * @property {string} nonce
 * @property {string} verifier
 * @property {Tokens} [tokens]
 */

/** @typedef {{fromEHR: boolean, next: Issuer[], results: Result[]}} Comparison launches with both kinds of tokens, one after the other */

const kinds = {
	firely: 'It reads the scopes from scope, and takes the patient of patient/ scopes from the claim patient.',
	fhirServer: 'It reads scopes of users with the role smartUser only, takes the patient from fhirUser, and accepts no token that mixes patient/ and user/ scopes, or scopes of SMART version 1 and 2.',
	ahds: 'It does as Microsoft’s open-source server does, without the role. With fhirlink’s tokens apps can only read.',
	other: 'It is taken to read scope and patient, as Firely Server does.',
}

const presets = {
	'a patient': 'openid fhirUser launch/patient offline_access patient/Patient.r patient/Observation.rs?category=laboratory patient/Condition.rs?category=problem-list-item',
	'a practitioner': 'openid fhirUser offline_access user/Patient.rs user/Observation.rs?category=vital-signs',
	'a practitioner whom an EHR sends': 'openid fhirUser launch launch/patient launch/encounter offline_access patient/Patient.r patient/Observation.rs patient/Encounter.r',
	'a patient, by SMART version 1': 'openid fhirUser launch/patient offline_access patient/Patient.read patient/Observation.read',
	'a patient, to write too': 'openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.cruds',
	'patient/ and user/ at once': 'openid fhirUser launch/patient offline_access patient/Observation.rs user/Practitioner.rs',
}

const own = location.origin + '/'

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id)

/** @template T @param {string} name @param {T} otherwise @returns {T} */
const kept = (name, otherwise) => JSON.parse(sessionStorage.getItem(name) ?? 'null') ?? otherwise
/** @param {string} name @param {any} value */
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value))

/** @type {Link[]} */
let links = []
/** @type {Record<Issuer, string>} the links that this site prepares */
let prepares = { fhirlink: '', entra: '' }
/** @type {Comparison | null} */
let comparison = kept('comparison', null)
/** @type {Session | null} */
let session = kept('session', null)
/** @type {Entry[]} */
let log = kept('log', [])

/** @param {string} name @param {string} [text] */
function element(name, text) {
	const e = document.createElement(name)
	if (text !== undefined) e.textContent = text
	return e
}

/** Shows an entry at the end of the log. @param {Entry} entry */
function show(entry) {
	const item = element('li')
	const title = element('h3', `${$('log').children.length + 1}. ${entry.title}`)
	if (entry.bad) title.className = 'bad'
	item.append(title, element('pre', entry.request))
	if (entry.answer !== undefined) {
		const details = document.createElement('details')
		details.open = entry.answer.split('\n').length < 45
		details.append(element('summary', 'Answer'), element('pre', entry.answer))
		item.append(details)
	}
	item.id = 'entry-' + $('log').children.length
	$('log').append(item)
	$('last').replaceChildren('Last: ', Object.assign(document.createElement('a'), { href: '#' + item.id, textContent: entry.title }))
	$('empty').hidden = true
	$('again-row').hidden = false
}

/** @param {Entry} entry */
function note(entry) {
	log.push(entry)
	keep('log', log)
	show(entry)
	if (matchMedia('(min-width: 64em)').matches) $('log').lastElementChild.scrollIntoView({ block: 'nearest' }) // else the buttons would leave the window
}

/** @param {string} text */
function complain(text) { $('alert').textContent = text }

/** @param {string} text */
function pretty(text) {
	try {
		return JSON.stringify(JSON.parse(text), null, 2)
	} catch {
		return text
	}
}

/** Sends a request, and notes it with its answer. @param {string} title @param {string} url @param {RequestInit & {headers?: Record<string, string>}} [options] */
async function send(title, url, options = {}) {
	const lines = [`${options.method ?? 'GET'} ${url}`]
	for (const [name, value] of Object.entries(options.headers ?? {})) lines.push(`${name}: ${value.replace(/^(Bearer .{12}).*/, '$1…')}`) // the token answer shows all of it
	if (options.body instanceof URLSearchParams) lines.push('', ...[...options.body].map(([name, value]) => `${name}=${value}`))
	else if (options.body) lines.push('', pretty(String(options.body)))
	let response, text
	try {
		response = await fetch(url, { ...options, credentials: 'omit', cache: 'no-store' })
		text = await response.text()
	} catch (e) {
		note({ title: `${title}: no answer`, request: lines.join('\n'), bad: true, answer: String(e) })
		return { ok: false, status: 0, body: undefined }
	}
	const challenge = response.headers.get('WWW-Authenticate')
	note({
		title: `${title}: ${response.status}`, request: lines.join('\n'), bad: !response.ok,
		answer: [challenge ? `WWW-Authenticate: ${challenge}\n` : '', pretty(text) || '(empty)'].join(''),
	})
	let body
	try {
		body = JSON.parse(text)
	} catch {
		body = undefined
	}
	return { ok: response.ok, status: response.status, body }
}

/** @param {Uint8Array} bytes */
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))

/** A part of a JWT. @param {string} part */
function decode(part) {
	const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
	return JSON.parse(new TextDecoder().decode(bytes))
}

/** The claims of a token. The app trusts them because the token endpoint itself has sent them (OpenID Connect Core §3.1.3.7). @param {string} token */
const claims = (token) => decode(token.split('.')[1])

/** The scopes to ask for. @returns {string} */
const scopes = () => $('scope').value.trim().split(/\s+/).join(' ')

/** What the app is at a link: the first registration that may have scopes of every context that is asked for. @param {Link} link */
function appOf(link) {
	const contexts = scopes().split(' ').map(contextOf).filter((context) => context !== undefined)
	return link.apps.find((app) => contexts.every((context) => app.scopes.some((scope) => contextOf(scope) === context))) ?? link.apps[0]
}

/** The app is started by itself. */
async function standalone() {
	const link = links.find((l) => l.slug === $('link').value)
	if (!link) return
	forget()
	await launch(link, $('who').value)
}

async function fromEHR() {
	const link = links.find((l) => l.slug === $('link').value)
	if (!link) return
	forget()
	await openFromEHR(link)
}

/** Launches twice, with each kind of tokens at the same kind of server, and shows side by side what comes of it. @param {boolean} fromEHR */
async function compare(fromEHR) {
	forget()
	for (const tokens of /** @type {Issuer[]} */ (['fhirlink', 'entra'])) {
		if (!await load('prepare?' + new URLSearchParams({ server: $('server').value, tokens }), 'POST')) return
	}
	comparison = { fromEHR, next: ['fhirlink', 'entra'], results: [] }
	await continueComparison()
}

/** Begins the comparison's next launch. It returns whether the browser leaves this page for it. */
async function continueComparison() {
	const next = comparison?.next.shift()
	const link = next && links.find((l) => l.slug === prepares[next])
	if (!comparison || !link) return false
	keep('comparison', comparison)
	return comparison.fromEHR ? openFromEHR(link) : launch(link, $('who').value)
}

/** Keeps what came of a launch, if both kinds are compared. @param {string} [failure] */
async function record(failure) {
	if (!comparison || !session) return
	const { link, tokens } = session
	/** @type {Result} */
	const result = { tokens: link.tokens, server: link.server, failure, granted: tokens?.scope.split(' ') ?? [], extra: tokens?.granted_extra, patient: tokens?.patient, reads: [] }
	if (tokens) {
		[result.header, result.claims] = tokens.access_token.split('.').slice(0, 2).map(decode)
		result.fhirUser = tokens.id_token && claims(tokens.id_token).fhirUser
		for (const path of requestsFor(result.granted, result.patient)) {
			const { status, body } = await read(path) ?? { status: 0, body: undefined }
			result.reads.push({ path, status, answer: body })
		}
	}
	comparison.results.push(result)
	keep('comparison', comparison)
}

/** Shows the comparison's results side by side. */
function showComparison() {
	const results = comparison?.results ?? []
	$('comparison').hidden = results.length === 0
	$('results').replaceChildren(...results.map((result) => {
		const column = element('article')
		const about = { Verdict: verdict(result), Scopes: result.failure ?? result.granted.join(' '), 'granted_extra': result.extra ?? 'none', Patient: result.patient ?? 'none' }
		const list = element('dl')
		list.append(...Object.entries(about).flatMap(([name, value]) => [element('dt', name), element('dd', value)]))
		column.append(element('h3', result.tokens === 'entra' ? 'Entra’s own tokens' : 'fhirlink’s tokens'), list)
		if (result.claims) column.append(element('h4', 'Access token: header'), element('pre', JSON.stringify(result.header, null, 2)), element('h4', 'Access token: claims'), element('pre', JSON.stringify(result.claims, null, 2)))
		if (result.reads.length > 0) column.append(element('h4', 'Requests to the FHIR server'))
		for (const { path, status, answer } of result.reads) {
			const details = element('details')
			details.append(element('summary', `GET ${path}: ${status}`), element('pre', JSON.stringify(answer, null, 2) ?? '(empty)'))
			column.append(details)
		}
		return column
	}))
}

/** An EHR's back end makes a launch, and its user's browser goes where that says. @param {Link} link */
async function openFromEHR(link) {
	keep('ehrWho', $('ehr-who').value)
	keep('ehrPatient', $('patient').value)
	const response = await fetch('open?' + new URLSearchParams({ link: link.slug, client: appOf(link).clientId, patient: $('patient').value }), { method: 'POST' })
	const told = await response.json()
	if (!response.ok) {
		complain(told.error)
		return false
	}
	note({
		title: 'EHR: its back end asks fhirlink for a launch', request: [`POST /api/links/${link.slug}/launches`, 'Authorization: Bearer (an application with the role Links.Launch.All)', '', JSON.stringify(told.request, null, 2)].join('\n'),
		answer: JSON.stringify(told.answer, null, 2),
	})
	location.assign(told.answer.launchUrl)
	return true
}

/** The page was opened by an EHR: its address says which FHIR server is meant. Only servers that the app knows count, because anybody can make such an address. */
async function launched() {
	const query = new URLSearchParams(location.search)
	history.replaceState(null, '', '/') // a launch is nothing for bookmarks
	const iss = query.get('iss')?.replace(/\/$/, '')
	note({ title: 'Launch URL: the EHR has opened the app', request: [`GET ${own}`, '', ...[...query].map(([name, value]) => `${name}=${value}`)].join('\n') })
	const link = links.find((l) => l.fhir === iss)
	if (!link) return complain('The app does not know the FHIR server of this EHR.')
	await launch(link, kept('ehrWho', 'auto:ada'), query.get('launch') ?? '')
}

/** Asks the FHIR server where its users sign in, and sends the browser there. @param {Link} link @param {string} who @param {string} [launch] what an EHR has opened the app with */
async function launch(link, who, launch) {
	const found = await send('Discovery', link.fhir + '/.well-known/smart-configuration', { headers: { Accept: 'application/json' } })
	if (!found.ok) {
		complain('The FHIR server does not say where its users sign in.')
		return false
	}
	const verifier = random()
	session = { link, clientId: appOf(link).clientId, smart: found.body, state: random(), nonce: random(), verifier }
	const challenge = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))
	const parameters = new URLSearchParams({
		response_type: 'code', client_id: session.clientId, redirect_uri: own, scope: scopes(), state: session.state, aud: link.fhir,
		code_challenge: challenge, code_challenge_method: 'S256', nonce: session.nonce,
	})
	if (launch !== undefined) parameters.set('launch', launch)
	if (who) parameters.set('login_hint', who)
	else parameters.set('prompt', 'select_account')
	keep('session', session)
	note({ title: 'Authorization request: the browser goes there', request: [`GET ${session.smart.authorization_endpoint}`, '', ...[...parameters].map(([name, value]) => `${name}=${value}`)].join('\n') })
	location.assign(session.smart.authorization_endpoint + '?' + parameters)
	return true
}

/** Takes the answer to the authorization request, which is in the page's address. It returns false if this tab has not asked for it. */
async function callback() {
	const answer = new URLSearchParams(location.search)
	history.replaceState(null, '', '/') // a code is nothing for bookmarks
	const failure = answer.get('error')
	note({ title: failure ? `Authorization answer: ${failure}` : 'Authorization answer: a code', request: [`GET ${own}`, '', ...[...answer].map(([name, value]) => `${name}=${value}`)].join('\n'), bad: Boolean(failure) })
	if (!session || session.tokens || answer.get('state') !== session.state) {
		complain('This answer is not to a request of this tab. Launch again.')
		return false
	}
	if (failure) complain(`${failure}: ${answer.get('error_description') ?? ''}`)
	else await ask('Token', { grant_type: 'authorization_code', code: answer.get('code') ?? '', redirect_uri: own, client_id: session.clientId, code_verifier: session.verifier })
	await record(session?.tokens ? undefined : $('alert').textContent)
	return true
}

/** Asks the token endpoint. @param {string} title @param {Record<string, string>} parameters */
async function ask(title, parameters) {
	if (!session) return
	const found = await send(title, session.smart.token_endpoint, { method: 'POST', body: new URLSearchParams(parameters) })
	if (!found.ok) return complain(`${found.body?.error ?? 'No answer'}: ${found.body?.error_description ?? 'the token endpoint cannot be reached.'}`)
	complain('')
	session.tokens = { ...session.tokens, ...found.body }
	note({ title: 'Access token, decoded. Only the FHIR server reads it', request: JSON.stringify(claims(found.body.access_token), null, 2) })
	if (found.body.id_token) {
		const id = claims(found.body.id_token)
		note({ title: 'Id token, decoded', request: JSON.stringify(id, null, 2) })
		if (id.nonce !== session.nonce || id.aud !== session.clientId) {
			forget()
			return complain('The id token is not for this sign-in.')
		}
	}
	keep('session', session)
	access()
}

/** Shows what the app has got. */
function access() {
	const tokens = session?.tokens
	$('session').hidden = !tokens
	if (!session || !tokens) return
	const about = { 'FHIR server': session.link.fhir, Patient: tokens.patient ?? 'none', ...(tokens.encounter && { Encounter: tokens.encounter }), ...(tokens.fhirContext && { 'FHIR context': tokens.fhirContext.map((one) => one.reference).join(', ') }), ...(tokens.intent && { Intent: tokens.intent }), ...(tokens.granted_extra && { 'Not granted': `${tokens.granted_extra}: Entra’s token has it all the same` }), User: tokens.id_token ? claims(tokens.id_token).fhirUser ?? 'not told' : 'not told', 'Refresh token': tokens.refresh_token ? 'yes' : 'no' }
	$('about').replaceChildren(...Object.entries(about).flatMap(([name, value]) => [element('dt', name), element('dd', value)]))
	$('granted').replaceChildren(...tokens.scope.split(' ').map((scope) => {
		const item = element('li')
		item.append(element('code', scope))
		return item
	}))
	$('refresh').disabled = $('revoke').disabled = !tokens.refresh_token
}

/** @param {string} path @param {string} [method] */
async function read(path, method = 'GET') {
	if (!session?.tokens) return
	/** @type {RequestInit & {headers: Record<string, string>}} */
	const options = { method, headers: { Authorization: `Bearer ${session.tokens.access_token}`, Accept: 'application/fhir+json' } }
	if (method !== 'GET') {
		const [resourceType, id] = path.split('/')
		options.headers['Content-Type'] = 'application/fhir+json'
		options.body = JSON.stringify({ resourceType, id })
	}
	return send(`${method === 'GET' ? 'Read' : 'Write'} ${path}`, `${session.link.fhir}/${path}`, options)
}

const patient = () => session?.tokens?.patient

async function revoke() {
	if (!session?.tokens?.refresh_token) return
	await send('Revoke', session.smart.revocation_endpoint, { method: 'POST', body: new URLSearchParams({ token: session.tokens.refresh_token, token_type_hint: 'refresh_token', client_id: session.clientId }) })
}

/** Forgets the sign-in, and what was shown of it. */
function forget() {
	session = comparison = null
	log = []
	for (const name of ['session', 'comparison', 'log']) sessionStorage.removeItem(name)
	showComparison()
	$('log').replaceChildren()
	$('last').textContent = ''
	$('empty').hidden = false
	$('again-row').hidden = true
	complain('')
	access()
}

/** Asks this site which links the app can use, after it has prepared one if method is POST. It returns false if that does not work. @param {string} path @param {string} [method] */
async function load(path, method = 'GET') {
	const response = await fetch(path, { method })
	const answer = await response.json()
	if (!response.ok) {
		complain(answer.error)
		return false
	}
	const chosen = method === 'POST' ? undefined : session?.link.slug
	links = answer.links
	prepares = answer.prepares
	$('registered').textContent = answer.registered.join(' ')
	$('link').replaceChildren(...links.map((l) => new Option(`${l.description} (${l.slug}): ${l.server}, tokens of ${l.tokens === 'entra' ? 'Entra' : 'fhirlink'}`, l.slug)))
	$('links').hidden = links.length === 0
	$('sign-in').disabled = $('open').disabled = links.length === 0
	if (method === 'POST' && !clinic()) complain(`The link ${prepares[tokens()]} is there, but its app is switched off, or registered for other addresses.`)
	else if (method === 'POST') $('prepared').textContent = `The link ${prepares[tokens()]} is ready. Its server judges as ${$('server').selectedOptions[0].textContent}.`
	if (method === 'GET') $('server').value = clinic()?.server ?? $('server').value
	choose(chosen)
	return true
}

/** @returns {Issuer} */
const tokens = () => $('tokens').value

const clinic = () => links.find((l) => l.slug === prepares[tokens()])

/** Chooses a link, else the clinic with the chosen kind of tokens. @param {string} [slug] */
function choose(slug) {
	const link = links.find((l) => l.slug === slug) ?? clinic() ?? links[0]
	if (link) $('link').value = link.slug
	$('prepare-button').textContent = clinic() ? 'Change the clinic' : 'Prepare the sandbox clinic'
	describe()
}

function describe() {
	$('kind').textContent = kinds[/** @type {keyof typeof kinds} */ ($('server').value)] + (tokens() === 'entra' ? ' Entra’s tokens have scp in Entra’s spelling, all scopes that were ever consented to, and no patient.' : ' fhirlink’s tokens have what was granted, and the patient.')
}

/** Lets a button do one thing at a time. @param {string} id @param {() => Promise<any>} act @param {string} [event] */
function on(id, act, event = 'click') {
	let busy = false
	$(id).addEventListener(event, async (/** @type {Event} */ e) => {
		e.preventDefault()
		if (busy) return
		busy = true
		try {
			await act()
		} catch (e) {
			complain(String(e))
		} finally {
			busy = false
		}
	})
}

on('prepare', () => load('prepare?' + new URLSearchParams({ server: $('server').value, tokens: tokens() }), 'POST'), 'submit')
on('launch', standalone, 'submit')
on('ehr', fromEHR, 'submit')
on('compare', () => compare(false))
on('compare-ehr', () => compare(true))
on('read-patient', () => read(patient() ? `Patient/${patient()}` : 'Patient'))
on('read-observations', () => read(patient() ? `Observation?patient=${patient()}` : 'Observation'))
on('other', () => read($('path').value.trim()), 'submit')
on('write-other', () => read($('path').value.trim(), 'PUT'))
on('refresh', () => ask('Refresh', { grant_type: 'refresh_token', refresh_token: session?.tokens?.refresh_token ?? '', client_id: session?.clientId ?? '' }))
on('revoke', revoke)
on('again', async () => forget())
$('server').addEventListener('change', describe)
$('tokens').addEventListener('change', () => { keep('tokens', $('tokens').value); choose() })
$('preset').replaceChildren(...Object.entries(presets).map(([name, scope]) => new Option(name, scope)))
$('preset').addEventListener('change', () => { keep('scope', $('scope').value = $('preset').value) })
$('scope').addEventListener('input', () => keep('scope', $('scope').value))
$('who').addEventListener('change', () => keep('who', $('who').value))

$('scope').value = kept('scope', presets['a patient'])
$('preset').value = $('scope').value
$('who').value = kept('who', 'auto:pat')
$('tokens').value = kept('tokens', 'fhirlink')
$('patient').value = kept('ehrPatient', 'p-1')
$('ehr-who').value = kept('ehrWho', 'auto:ada')
log.forEach(show)
access()
showComparison()

async function begin() {
	await load('links.json')
	if (/[?&](code|error)=/.test(location.search)) {
		if (await callback() && await continueComparison()) return
		showComparison()
		if (comparison) $('comparison-title').focus()
		else if (session?.tokens) $('session-title').focus()
	} else if (/[?&]launch=/.test(location.search)) {
		await launched()
	}
	document.body.dataset.ready = 'yes' // for tests
}

begin().catch((e) => complain(String(e)))
