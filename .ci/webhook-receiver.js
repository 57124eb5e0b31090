// An HTTP server that verifies each POST with the reference library of Standard Webhooks and the key
// in the header test-key. It answers 204 if the signature is good, and 400 with the reason if not.
// It prints its port, and ends when its standard input does.
const http = require('node:http')
const { Webhook } = require('standardwebhooks')

const server = http.createServer((request, response) => {
	const chunks = []
	request.on('data', (chunk) => chunks.push(chunk))
	request.on('end', () => {
		try {
			const event = new Webhook(request.headers['test-key']).verify(Buffer.concat(chunks), request.headers)
			if (event.specversion !== '1.0' || event.id !== request.headers['webhook-id']) throw new Error('not the event that the header names')
			response.writeHead(204).end()
		} catch (error) {
			response.writeHead(400, { 'content-type': 'text/plain' }).end(String(error.message))
		}
	})
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
