// A FHIR server as others would write one: express answers, and jose validates access tokens (RFC 9068 §4)
// with the keys that the authorization server publishes. It has Patients p-1 and p-2.
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { pathToFileURL } from 'node:url'

// trust: issuer, jwksUri, audience, and options of createRemoteJWKSet. discovery, if given, is the URL of
// the authorization server's document, which the server shows to apps as its own.
export function resourceServer({ issuer, jwksUri, audience, keys: options, discovery }) {
	const keys = createRemoteJWKSet(new URL(jwksUri), options)
	const app = express()
	app.disable('x-powered-by')

	app.use((request, response, next) => { // apps in browsers are on other sites
		response.set({ 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization, accept, content-type' })
		if (request.method === 'OPTIONS') return response.status(204).end()
		next()
	})
	app.get('/metadata', (request, response) => {
		response.json({ resourceType: 'CapabilityStatement', status: 'active', date: '2026-01-01', kind: 'instance', fhirVersion: '4.0.1', format: ['json'], rest: [{ mode: 'server', resource: [{ type: 'Patient' }] }] })
	})
	app.get('/.well-known/smart-configuration', async (request, response) => {
		const answer = await fetch(discovery)
		response.status(answer.status).json(await answer.json())
	})
	app.get('/Patient/:id', async (request, response) => {
		const refuse = (status, error, reason) => response.status(status).set('www-authenticate', `Bearer error="${error}"`).json({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'security', diagnostics: reason }] })
		const [, token] = request.get('authorization')?.match(/^Bearer (.+)$/) ?? []
		if (!token) return response.status(401).set('www-authenticate', 'Bearer').end()
		let claims
		try {
			({ payload: claims } = await jwtVerify(token, keys, {
				issuer, audience, typ: 'at+jwt', algorithms: ['RS256'], requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id'],
				currentDate: request.get('test-now') ? new Date(request.get('test-now')) : undefined, // the clock of a test
			}))
		} catch (error) {
			return refuse(401, 'invalid_token', `${error.code}: ${error.message}`)
		}
		if (!claims.scope.split(' ').some((scope) => /^patient\/(\*|Patient)\.(c?r|read|\*)/.test(scope))) return refuse(403, 'insufficient_scope', 'no scope for Patient')
		if (claims.patient !== request.params.id) return refuse(403, 'insufficient_scope', 'the record of another patient')
		response.type('application/fhir+json').send(JSON.stringify({ resourceType: 'Patient', id: request.params.id, name: [{ family: 'Sandbox' }] }))
	})
	return app
}

// As a program: the settings are JSON. It prints its port, and ends when its standard input does.
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	const settings = JSON.parse(process.env.SMART_SETTINGS, (name, value) => value === 'never' ? Infinity : value)
	const server = resourceServer(settings).listen(0, '127.0.0.1', (error) => {
		if (error) throw error
		console.log(server.address().port)
	})
	process.stdin.on('end', () => process.exit(0)).resume()
}
