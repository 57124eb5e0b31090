// A backend service made with jose alone, as SMART's guide describes it: an assertion that is signed with RS384
// or ES384 and used once.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRemoteJWKSet, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose'

const settings = JSON.parse(process.env.SMART_SETTINGS)
const as = await (await fetch(`${settings.issuer}/.well-known/smart-configuration`)).json()
assert.ok(as.grant_types_supported.includes('client_credentials'))
assert.ok(as.token_endpoint_auth_methods_supported.includes('private_key_jwt'))
assert.ok(as.token_endpoint_auth_signing_alg_values_supported.includes(settings.key.alg))
assert.ok(as.capabilities.includes('client-confidential-asymmetric'))

const key = await importJWK(settings.key)
const sign = (signer, header = {}) => new SignJWT()
	.setProtectedHeader({ alg: settings.key.alg, kid: settings.key.kid, typ: 'JWT', ...header })
	.setIssuer(settings.clientId).setSubject(settings.clientId).setAudience(as.token_endpoint).setJti(randomUUID()).setExpirationTime('5m')
	.sign(signer)
async function ask(assertion, scope = 'system/Patient.rs system/Observation.rs?category=laboratory') {
	const answer = await fetch(as.token_endpoint, {
		method: 'POST',
		body: new URLSearchParams({ grant_type: 'client_credentials', scope, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion }),
	})
	return { status: answer.status, body: await answer.json() }
}

const assertion = await sign(key)
const { status, body } = await ask(assertion)
assert.equal(status, 200, JSON.stringify(body))
assert.equal(body.scope, 'system/Patient.rs system/Observation.rs?category=laboratory')
assert.equal(body.expires_in, 300)
const { payload } = await jwtVerify(body.access_token, createRemoteJWKSet(new URL(as.jwks_uri)), { issuer: as.issuer, audience: settings.aud, typ: 'at+jwt', algorithms: ['RS256'] })
assert.equal(payload.client_id, settings.clientId)
assert.equal(payload.exp - payload.iat, 300)

const refused = async (text, want) => {
	const { status, body } = await ask(text)
	assert.deepEqual([status, body.error], [401, 'invalid_client'])
	assert.match(body.error_description, want)
}
await refused(assertion, /jti/)
await refused(await sign((await generateKeyPair(settings.key.alg)).privateKey), /signature/)
await refused(await sign(key, { kid: 'another' }), /kid/)
await refused(await sign(key, { jku: 'https://evil.example/keys' }), /jku/)
console.log('ok')
