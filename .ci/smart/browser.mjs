// What the clients' programs have in common: the settings, which the test gives as JSON, and a browser
// without a window.
import assert from 'node:assert/strict'

export const settings = JSON.parse(process.env.SMART_SETTINGS)

// Follows redirects from an authorization request, and keeps cookies, until the app's own address is
// reached. That one is not opened: it is returned, as the app would see it.
export async function signIn(address, redirectURI) {
	const jar = new Map() // by origin
	const statuses = []
	while (!address.startsWith(redirectURI)) {
		assert.ok(statuses.length < 10, `too many redirects: ${statuses}`)
		const { origin } = new URL(address)
		const cookies = jar.get(origin) ?? new Map()
		jar.set(origin, cookies)
		const answer = await fetch(address, { redirect: 'manual', headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } })
		statuses.push(answer.status)
		for (const line of answer.headers.getSetCookie()) {
			const [, name, value] = line.match(/^([^=]+)=([^;]*)/)
			if (/;\s*Max-Age=0/i.test(line)) cookies.delete(name)
			else cookies.set(name, value)
		}
		assert.ok(answer.headers.has('location'), `after ${statuses} there is no redirect: ${await answer.text()}`)
		address = new URL(answer.headers.get('location'), address).href
	}
	assert.deepEqual(statuses, [303, 302, 303]) // from fhirlink to Entra, back, and to the app
	return new URL(address)
}
