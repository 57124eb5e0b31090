// An app made with openid-client, a certified OpenID Connect relying party. Loopback has no TLS, so http is
// allowed; nothing else is relaxed, and it is told to verify signatures that TLS would make up for.
import assert from 'node:assert/strict'
import { importJWK } from 'jose'
import * as client from 'openid-client'
import { settings, signIn } from './browser.mjs'

const methods = { none: () => client.None(), client_secret_basic: client.ClientSecretBasic, client_secret_post: client.ClientSecretPost, private_key_jwt: client.PrivateKeyJwt }
const credential = settings.key ? { key: await importJWK(settings.key), kid: settings.key.kid } : settings.secret
const config = await client.discovery(new URL(settings.issuer), settings.clientId, undefined, methods[settings.method](credential), {
	execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
})
assert.equal(config.serverMetadata().issuer, settings.issuer)
assert.ok(config.serverMetadata().supportsPKCE())

const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedState = client.randomState()
const expectedNonce = client.randomNonce()
const address = client.buildAuthorizationUrl(config, {
	redirect_uri: settings.redirectUri, scope: settings.scope, aud: settings.aud, state: expectedState, nonce: expectedNonce,
	code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', login_hint: `auto:${settings.user}`,
})
const back = await signIn(address.href, settings.redirectUri)
assert.deepEqual(back.searchParams.getAll('iss'), settings.iss ? [settings.issuer] : [])

const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
if (settings.iss) { // it notices an answer of another authorization server, and sends that one no code
	const mixedUp = new URL(back)
	mixedUp.searchParams.set('iss', 'https://another.example')
	await assert.rejects(client.authorizationCodeGrant(config, mixedUp, checks), { code: 'OAUTH_INVALID_RESPONSE' })
}
const tokens = await client.authorizationCodeGrant(config, back, checks)
const claims = tokens.claims()
assert.equal(claims.iss, settings.issuer)
assert.equal(claims.aud, settings.clientId)
assert.equal(claims.nonce, expectedNonce)
assert.equal(claims.fhirUser, settings.fhirUser)
assert.equal(tokens.scope, settings.scope)
assert.equal(tokens.patient, settings.patient)
assert.ok(tokens.expiresIn() > 0)

const fresh = await client.refreshTokenGrant(config, tokens.refresh_token)
assert.equal(fresh.scope, settings.scope)
assert.notEqual(fresh.refresh_token, tokens.refresh_token)

await client.tokenRevocation(config, fresh.refresh_token, { token_type_hint: 'refresh_token' })
await assert.rejects(client.refreshTokenGrant(config, fresh.refresh_token), { error: 'invalid_grant' })

if (settings.key) { // a backend service, which no user signs in for
	const backend = await client.clientCredentialsGrant(config, { scope: 'system/Patient.rs system/Observation.rs' })
	assert.equal(backend.scope, 'system/Patient.rs system/Observation.rs')
	assert.equal(backend.expires_in, 300)
}
console.log('ok')
