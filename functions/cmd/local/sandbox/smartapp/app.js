// A SMART app in a page: SMART App Launch 2.2, standalone and EHR launch, with PKCE. It uses nothing but what
// browsers have. All that it knows is in this tab's sessionStorage, so that tabs do not mix.
// @ts-check

/** @typedef {{slug: string, description: string, server: string, fhir: string, clientId: string}} Link */
/** @typedef {{title: string, request: string, answer?: string, bad?: boolean}} Entry what was asked, and what was answered */
/** @typedef {{access_token: string, scope: string, expires_in: number, refresh_token?: string, id_token?: string, patient?: string, encounter?: string, intent?: string, fhirContext?: {reference?: string}[]}} Tokens */
/**
 * @typedef {object} Session
 * @property {Link} link
 * @property {{authorization_endpoint: string, token_endpoint: string, revocation_endpoint: string}} smart
 * @property {string} state
 * @property {string} nonce
 * @property {string} verifier
 * @property {Tokens} [tokens]
 */

const kinds = {
	firely: 'It reads the scopes from scope, and takes the patient of patient/ scopes from the claim patient.',
	fhirServer: 'It reads scopes of users with the role smartUser only, takes the patient from fhirUser, and accepts no token that mixes patient/ and user/ scopes, or scopes of SMART version 1 and 2.',
	ahds: 'It does as Microsoft’s open-source server does, without the role, and lets apps read only.',
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

/** The claims of a token. The app trusts them because the token endpoint itself has sent them (OpenID Connect Core §3.1.3.7). @param {string} token */
function claims(token) {
	const [, part] = token.split('.')
	const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
	return JSON.parse(new TextDecoder().decode(bytes))
}

/** The app is started by itself. */
async function standalone() {
	const link = links.find((l) => l.slug === $('link').value)
	if (!link) return
	forget()
	await launch(link, $('who').value)
}

/** An EHR's back end makes a launch, and its user's browser goes where that says. */
async function openFromEHR() {
	const link = links.find((l) => l.slug === $('link').value)
	if (!link) return
	forget()
	keep('ehrWho', $('ehr-who').value)
	const response = await fetch('open?' + new URLSearchParams({ link: link.slug, patient: $('patient').value }), { method: 'POST' })
	const told = await response.json()
	if (!response.ok) return complain(told.error)
	note({
		title: 'EHR: its back end asks fhirlink for a launch', request: [`POST /api/links/${link.slug}/launches`, 'Authorization: Bearer (an application with the role Links.Launch.All)', '', JSON.stringify(told.request, null, 2)].join('\n'),
		answer: JSON.stringify(told.answer, null, 2),
	})
	location.assign(told.answer.launchUrl)
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
	if (!found.ok) return complain('The FHIR server does not say where its users sign in.')
	const verifier = random()
	session = { link, smart: found.body, state: random(), nonce: random(), verifier }
	const challenge = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))
	const parameters = new URLSearchParams({
		response_type: 'code', client_id: link.clientId, redirect_uri: own, scope: $('scope').value.trim().split(/\s+/).join(' '), state: session.state, aud: link.fhir,
		code_challenge: challenge, code_challenge_method: 'S256', nonce: session.nonce,
	})
	if (launch !== undefined) parameters.set('launch', launch)
	if (who) parameters.set('login_hint', who)
	else parameters.set('prompt', 'select_account')
	keep('session', session)
	note({ title: 'Authorization request: the browser goes there', request: [`GET ${session.smart.authorization_endpoint}`, '', ...[...parameters].map(([name, value]) => `${name}=${value}`)].join('\n') })
	location.assign(session.smart.authorization_endpoint + '?' + parameters)
}

/** Takes the answer to the authorization request, which is in the page's address. */
async function callback() {
	const answer = new URLSearchParams(location.search)
	history.replaceState(null, '', '/') // a code is nothing for bookmarks
	const failure = answer.get('error')
	note({ title: failure ? `Authorization answer: ${failure}` : 'Authorization answer: a code', request: [`GET ${own}`, '', ...[...answer].map(([name, value]) => `${name}=${value}`)].join('\n'), bad: Boolean(failure) })
	if (!session || session.tokens || answer.get('state') !== session.state) return complain('This answer is not to a request of this tab. Launch again.')
	if (failure) return complain(`${failure}: ${answer.get('error_description') ?? ''}`)
	await ask('Token', { grant_type: 'authorization_code', code: answer.get('code') ?? '', redirect_uri: own, client_id: session.link.clientId, code_verifier: session.verifier })
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
		if (id.nonce !== session.nonce || id.aud !== session.link.clientId) {
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
	const about = { 'FHIR server': session.link.fhir, Patient: tokens.patient ?? 'none', ...(tokens.encounter && { Encounter: tokens.encounter }), ...(tokens.fhirContext && { 'FHIR context': tokens.fhirContext.map((one) => one.reference).join(', ') }), ...(tokens.intent && { Intent: tokens.intent }), User: tokens.id_token ? claims(tokens.id_token).fhirUser ?? 'not told' : 'not told', 'Refresh token': tokens.refresh_token ? 'yes' : 'no' }
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
	await send(`${method === 'GET' ? 'Read' : 'Write'} ${path}`, `${session.link.fhir}/${path}`, options)
}

const patient = () => session?.tokens?.patient

async function revoke() {
	if (!session?.tokens?.refresh_token) return
	await send('Revoke', session.smart.revocation_endpoint, { method: 'POST', body: new URLSearchParams({ token: session.tokens.refresh_token, token_type_hint: 'refresh_token', client_id: session.link.clientId }) })
}

/** Forgets the sign-in, and what was shown of it. */
function forget() {
	session = null
	log = []
	sessionStorage.removeItem('session')
	sessionStorage.removeItem('log')
	$('log').replaceChildren()
	$('last').textContent = ''
	$('empty').hidden = false
	$('again-row').hidden = true
	complain('')
	access()
}

/** Asks this site which links the app can use, after it has prepared one if method is POST. @param {string} path @param {string} [method] */
async function load(path, method = 'GET') {
	const response = await fetch(path, { method })
	const answer = await response.json()
	if (!response.ok) return complain(answer.error)
	links = answer.links
	const chosen = $('link').value || session?.link.slug || answer.prepares
	$('link').replaceChildren(...links.map((l) => new Option(`${l.description} (${l.slug}): ${l.server}`, l.slug, false, l.slug === chosen)))
	$('links').hidden = links.length === 0
	$('sign-in').disabled = $('open').disabled = links.length === 0
	const clinic = links.find((l) => l.slug === answer.prepares)
	if (clinic) $('server').value = clinic.server
	$('prepare-button').textContent = clinic ? 'Change the clinic' : 'Prepare the sandbox clinic'
	if (method === 'POST' && !clinic) return complain(`The link ${answer.prepares} is there, but its app is switched off, or registered for other addresses.`)
	if (method === 'POST') $('prepared').textContent = `The link ${answer.prepares} is ready. Its server judges as ${$('server').selectedOptions[0].textContent}.`
	describe()
}

function describe() { $('kind').textContent = kinds[/** @type {keyof typeof kinds} */ ($('server').value)] }

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

on('prepare', () => load('prepare?server=' + encodeURIComponent($('server').value), 'POST'), 'submit')
on('launch', standalone, 'submit')
on('ehr', openFromEHR, 'submit')
on('read-patient', () => read(patient() ? `Patient/${patient()}` : 'Patient'))
on('read-observations', () => read(patient() ? `Observation?patient=${patient()}` : 'Observation'))
on('other', () => read($('path').value.trim()), 'submit')
on('write-other', () => read($('path').value.trim(), 'PUT'))
on('refresh', () => ask('Refresh', { grant_type: 'refresh_token', refresh_token: session?.tokens?.refresh_token ?? '', client_id: session?.link.clientId ?? '' }))
on('revoke', revoke)
on('again', async () => forget())
$('server').addEventListener('change', describe)
$('preset').replaceChildren(...Object.entries(presets).map(([name, scope]) => new Option(name, scope)))
$('preset').addEventListener('change', () => { keep('scope', $('scope').value = $('preset').value) })
$('scope').addEventListener('input', () => keep('scope', $('scope').value))
$('who').addEventListener('change', () => keep('who', $('who').value))

$('scope').value = kept('scope', presets['a patient'])
$('preset').value = $('scope').value
$('who').value = kept('who', 'auto:pat')
log.forEach(show)
access()

async function begin() {
	await load('links.json')
	if (/[?&](code|error)=/.test(location.search)) {
		await callback()
		if (session?.tokens) $('session-title').focus()
	} else if (/[?&]launch=/.test(location.search)) {
		await launched()
	}
	document.body.dataset.ready = 'yes' // for tests
}

begin().catch((e) => complain(String(e)))
