// An HTTP server that verifies what is posted to it with the reference library of Standard
// Webhooks and the key in the header test-key: 204 if it is good, else 400 with the reason.
// Prints the port it listens on; ends when its standard input does.
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
