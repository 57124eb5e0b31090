// An app made with oauth4webapi, which checks everything that OAuth 2.1 and OpenID Connect ask clients to
// check. Loopback has no TLS, so http is allowed; nothing else is relaxed.
import assert from 'node:assert/strict'
import { generateKeyPair, importJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import { settings, signIn } from './browser.mjs'

const http = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(settings.issuer)
const client = { client_id: settings.clientId }
const methods = { none: () => oauth.None(), client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost, private_key_jwt: oauth.PrivateKeyJwt }
const asymmetric = settings.method === 'private_key_jwt'
const credential = asymmetric ? { key: await importJWK(settings.key), kid: settings.key.kid } : settings.secret
const authentication = methods[settings.method](credential)

const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
assert.ok(as.token_endpoint_auth_methods_supported.includes(settings.method))
assert.ok(as.code_challenge_methods_supported.includes('S256'))

const verifier = oauth.generateRandomCodeVerifier()
const state = oauth.generateRandomState()
const nonce = oauth.generateRandomNonce()
async function ask(more) {
	const address = new URL(as.authorization_endpoint)
	for (const [name, value] of Object.entries({
		response_type: 'code', client_id: client.client_id, redirect_uri: settings.redirectUri, scope: settings.scope, aud: settings.aud, state, nonce,
		code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
	})) address.searchParams.set(name, value)
	return signIn(address.href, settings.redirectUri)
}

// A refusal is an answer like any other: with state, and with iss if the app wants it.
const refused = await ask({ prompt: 'none' })
assert.throws(() => oauth.validateAuthResponse(as, client, refused, state), { name: 'AuthorizationResponseError', error: 'login_required' })
const back = await ask({ login_hint: `auto:${settings.user}` })

// RFC 9207: without iss the app did not ask for it, and with iss oauth4webapi compares it.
for (const { searchParams } of [refused, back]) assert.deepEqual(searchParams.getAll('iss'), settings.iss ? [settings.issuer] : [])
const parameters = oauth.validateAuthResponse(as, client, back, state)

const exchange = (authentication, verifier) => oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, settings.redirectUri, verifier, http)
	.then((answer) => oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, requireIdToken: true }).then((tokens) => ({ answer, tokens })))

// What is refused spends nothing: the code still works afterwards.
if (settings.method === 'none') {
	await assert.rejects(exchange(authentication, oauth.generateRandomCodeVerifier()), { name: 'ResponseBodyError', status: 400, error: 'invalid_grant' })
} else {
	const wrong = methods[settings.method](asymmetric ? { key: (await generateKeyPair(settings.key.alg)).privateKey, kid: settings.key.kid } : settings.secret + 'x')
	const refusal = settings.method === 'client_secret_basic'
		? { name: 'WWWAuthenticateChallengeError', status: 401 } // RFC 6749 §5.2: by Basic, with a challenge
		: { name: 'ResponseBodyError', status: 401, error: 'invalid_client' }
	await assert.rejects(exchange(wrong, verifier), refusal)
}

const { answer, tokens } = await exchange(authentication, verifier)
await oauth.validateApplicationLevelSignature(as, answer, http) // of the id token, by jwks_uri
const claims = oauth.getValidatedIdTokenClaims(tokens)
assert.equal(claims.iss, settings.issuer)
assert.equal(claims.fhirUser, settings.fhirUser)
assert.equal(tokens.scope, settings.scope)
assert.equal(tokens.patient, settings.patient)
assert.equal(typeof tokens.expires_in, 'number')

const refresh = async (token) => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, authentication, token, http))
const fresh = await refresh(tokens.refresh_token)
assert.equal(fresh.scope, settings.scope)
assert.equal(fresh.patient, settings.patient)
assert.notEqual(fresh.access_token, tokens.access_token)
assert.notEqual(fresh.refresh_token, tokens.refresh_token)

// One that never was is as good as revoked (RFC 7009 §2.2), and an access token takes its grant along.
const revoke = async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, http))
await revoke('not a token')
assert.ok(await refresh(fresh.refresh_token).then((again) => again.access_token))
await revoke(fresh.access_token)
await assert.rejects(refresh(fresh.refresh_token), { name: 'ResponseBodyError', status: 400, error: 'invalid_grant' })

if (asymmetric) { // a backend service, which no user signs in for
	const request = (scope) => oauth.clientCredentialsGrantRequest(as, client, authentication, { scope }, http).then((answer) => oauth.processClientCredentialsResponse(as, client, answer))
	const backend = await request('system/Patient.rs')
	assert.equal(backend.scope, 'system/Patient.rs')
	assert.equal(backend.expires_in, 300)
	assert.equal(backend.refresh_token, undefined)
	await assert.rejects(request('user/Patient.rs'), { name: 'ResponseBodyError', status: 400, error: 'invalid_scope' })
}
console.log('ok')
