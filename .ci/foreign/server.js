// Starts node-fhir-server-core (github.com/bluehalo/node-fhir-server-core) on loopback, on the port
// in PORT. Routes, CapabilityStatement, answers and errors are that package's. It leaves the storage
// of resources to its user: here they are in memory, with one patient.
const FHIRServer = require('@asymmetrik/node-fhir-server-core')

const version = '4_0_1'
const Bundle = FHIRServer.resolveSchema(version, 'bundle')

function keep(type, ...ids) {
	const Resource = FHIRServer.resolveSchema(version, type)
	const kept = new Map(ids.map((id) => [id, new Resource({ id })]))
	return {
		search: async () => new Bundle({ type: 'searchset', total: kept.size, entry: [...kept.values()].map((resource) => ({ resource })) }),
		searchById: async ({ id }) => kept.get(id),
		update: async ({ id }, { req }) => {
			const created = !kept.has(id)
			kept.set(id, new Resource(req.body))
			return { id, created, resource_version: '1' }
		},
		remove: async ({ id }) => {
			kept.delete(id)
			return { id }
		},
	}
}

FHIRServer.initialize({
	profiles: {
		patient: { service: keep('patient', 'p1'), versions: [version] },
		basic: { service: keep('basic'), versions: [version] },
	},
	logging: { level: 'error' },
}).listen(Number(process.env.PORT), '127.0.0.1')
