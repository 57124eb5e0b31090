// An SMTP server made with npm's smtp-server. Its one argument is JSON: cert and key are PEM, and
// authMethods, hideSTARTTLS and secure are options of that package. It prints its port, then each
// accepted message as a line of JSON. It ends when its standard input does.
//
// The user "user" has the password "password". The recipient's address decides what happens:
// unknown@ is refused, busy@ is refused for now, and a message to spam@ is refused as a whole.
const { SMTPServer } = require('smtp-server')

const refuse = (responseCode, text) => Object.assign(new Error(text), { responseCode })
const server = new SMTPServer({
	...JSON.parse(process.argv[2]),
	banner: 'canary',
	onAuth(auth, session, done) {
		const good = auth.username === 'user' && auth.password === 'password'
		done(good ? null : refuse(535, 'canary'), { user: auth.username })
	},
	onRcptTo({ address }, session, done) {
		if (address.startsWith('unknown@')) return done(refuse(550, 'canary'))
		if (address.startsWith('busy@')) return done(refuse(450, 'canary'))
		done()
	},
	onData(stream, session, done) {
		const chunks = []
		stream.on('data', (chunk) => chunks.push(chunk))
		stream.on('end', () => {
			const { mailFrom, rcptTo } = session.envelope
			const to = rcptTo.map(({ address }) => address)
			if (to.some((address) => address.startsWith('spam@'))) return done(refuse(554, 'canary'))
			console.log(JSON.stringify({
				user: session.user || '', secure: session.secure, from: mailFrom.address, to,
				data: Buffer.concat(chunks).toString('latin1'),
			}))
			done()
		})
	},
})
server.on('error', (error) => console.error(error.message))
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
