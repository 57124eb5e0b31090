// An OpenID provider of others, oidc-provider, at the addresses and with the claims of an Entra tenant. It
// is stricter than Entra: PKCE is required, a refresh token is given only if the user consents just then
// (OpenID Connect Core §11) and works only once, and a code or refresh token that is used again ends what
// came of it. It prints its port, and ends when its standard input does. Whoever signs in is the patient.
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'

const { authority, tenant, clientId, clientSecret, clientCertificate, redirectUri, user } = JSON.parse(process.env.SMART_SETTINGS)
const account = { accountId: user.oid, claims: () => ({ sub: `pairwise-${user.oid}`, tid: tenant, ver: '2.0', ...user }) }

// The client proves who it is by a secret, or by assertions that its certificate's key signs.
const authentication = clientCertificate
	? { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', jwks: { keys: [{ ...createPublicKey(clientCertificate).export({ format: 'jwk' }), use: 'sig' }] } }
	: { token_endpoint_auth_method: 'client_secret_post', client_secret: clientSecret }

const provider = new Provider(`${authority}${tenant}/v2.0`, {
	routes: { authorization: `/${tenant}/oauth2/v2.0/authorize`, token: `/${tenant}/oauth2/v2.0/token`, jwks: `/${tenant}/discovery/v2.0/keys` },
	clients: [{
		client_id: clientId, redirect_uris: [redirectUri], response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'], application_type: 'web', ...authentication,
	}],
	jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: 'strict-1', use: 'sig', alg: 'RS256' }] },
	cookies: { keys: ['a secret of this process only'], long: { secure: true }, short: { secure: true } },
	pkce: { required: () => true },
	rotateRefreshToken: true,
	responseTypes: ['code'],
	claims: { openid: ['sub', 'oid', 'tid', 'ver', 'fhirUser'], profile: ['name', 'preferred_username'] },
	conformIdTokenClaims: false, // Entra puts all claims into the id token
	features: { devInteractions: { enabled: false } },
	findAccount: () => account,
	interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
	ttl: { AccessToken: 3600, AuthorizationCode: 60, IdToken: 3600, RefreshToken: 86400, Interaction: 600, Session: 3600, Grant: 86400 },
})
provider.proxy = true // TLS ends before it
provider.on('server_error', (context, error) => console.error(error))
for (const event of ['authorization.error', 'grant.error']) provider.on(event, (context, error) => console.error(event, error.message, error.error_description, error.error_detail))

// The user takes back every consent.
const consents = new Set()
async function withdraw(response) {
	for (const id of consents) await (await provider.Grant.find(id))?.destroy()
	response.writeHead(204).end()
}

// Answers what the provider wants to know of the user: who it is, and that it consents.
async function interact(request, response) {
	const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
	if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: account.accountId } })
	const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
	if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '))
	if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims)
	const saved = await grant.save()
	consents.add(saved)
	return provider.interactionFinished(request, response, { consent: { grantId: saved } }, { mergeWithLastSubmission: true })
}

const answer = provider.callback()
const server = createServer((request, response) => {
	const own = request.url.startsWith('/interaction/') ? interact(request, response) : request.url === '/withdraw' ? withdraw(response) : answer(request, response)
	own.catch((error) => {
		console.error(error)
		response.writeHead(500).end()
	})
}).listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
