// What fhirlink's documentation says works where, and whether the sandbox does so.
// @ts-check

/** @typedef {'fhirlink' | 'entra'} Issuer whose access tokens an app gets */
/** @typedef {{path: string, status: number, answer: any}} Read */
/**
 * @typedef {object} Result what came of a launch
 * @property {Issuer} tokens
 * @property {string} server
 * @property {string} [failure]
 * @property {string[]} granted
 * @property {string} [extra] granted_extra
 * @property {string} [patient]
 * @property {string} [fhirUser]
 * @property {any} [header] of the access token
 * @property {any} [claims]
 * @property {Read[]} reads
 */
/** @typedef {'own' | 'all' | 'none' | 'unbound'} Outcome own: the patient's records only; all: records; none: every request is refused; unbound: the patient's records, and others' too */

/** @type {Record<string, string>} */
const servers = { firely: 'Firely Server', fhirServer: 'Microsoft’s open-source FHIR server', ahds: 'Azure Health Data Services', other: 'another server' }

/** @type {Record<string, string>} */
const uses = { patient: 'A patient, patient/ scopes', user: 'A practitioner, user/ scopes', launched: 'A practitioner whom an EHR sends, patient/ scopes' }

/** @type {Record<string, Record<string, [string, Outcome]>>} by tokens and server, and by use */
const table = {
	'fhirlink firely': { patient: ['works', 'own'], user: ['works', 'all'], launched: ['works', 'own'] },
	'fhirlink fhirServer': { patient: ['works', 'own'], user: ['works', 'all'], launched: ['works: fhirUser names the patient (compartment)', 'own'] },
	'fhirlink ahds': { patient: ['works for reading; the server’s documentation speaks of version 1 scopes', 'own'], user: ['works for reading', 'all'], launched: ['works for reading: fhirUser names the patient (compartment)', 'own'] },
	'entra firely': {
		patient: ['rejected: the token has no claim patient', 'none'], user: ['works only if the server reads scp, which is not established; the sandbox’s does not', 'none'],
		launched: ['rejected: the token has no claim patient', 'none'],
	},
	'entra fhirServer': {
		patient: ['works, with the app role smartUser and fhirUser in the access token', 'own'], user: ['works', 'all'],
		launched: ['the patient of the launch is ignored, the practitioner’s own compartment counts', 'unbound'],
	},
	'entra ahds': {
		patient: ['works, for users with the role “FHIR SMART User” and fhirUser in the access token', 'own'], user: ['works', 'all'],
		launched: ['the patient of the launch is ignored, the practitioner’s own compartment counts', 'unbound'],
	},
}

/** @param {string} scope */
export const contextOf = (scope) => scope.match(/^(patient|user|system)\//)?.[1]

/** What a launch was for, as a column of the table; undefined: it has none. @param {Result} result */
function useOf({ granted, fhirUser }) {
	const [context, another] = new Set(granted.map(contextOf).filter(Boolean))
	const isPatient = /(^|\/)Patient\/[^/]+$/.test(fhirUser ?? '')
	if (another || !fhirUser) return undefined
	if (context === 'patient') return isPatient ? 'patient' : 'launched'
	return context === 'user' && !isPatient ? 'user' : undefined
}

/** The requests that show what a token opens: of the patient, then of another one, or without a patient of everybody. @param {string[]} granted @param {string} [patient] */
export function requestsFor(granted, patient) {
	const types = [...new Set(granted.map((scope) => scope.match(/^(?:patient|user)\/(\w+|\*)\./)?.[1]).filter((type) => type !== undefined))]
	const [first = 'Patient', second = 'Observation'] = types.flatMap((type) => (type === '*' ? ['Patient', 'Observation'] : [type]))
	/** @param {string} type @param {string} of */
	const one = (type, of) => (type === 'Patient' ? `Patient/${of}` : `${type}?patient=${of}`)
	return patient ? [one(first, patient), one(second, patient), one(first, patient === 'p-1' ? 'p-2' : 'p-1')] : [first, second]
}

/** Whether a request has brought records. @param {Read} read */
const brought = ({ status, answer }) => status === 200 && (answer?.resourceType !== 'Bundle' || answer.total > 0)

/** @type {Record<Outcome, (reads: Read[]) => boolean>} */
const checks = {
	own: ([first, , other]) => brought(first) && Boolean(other) && !brought(other),
	all: ([first]) => brought(first),
	none: (reads) => reads.every((read) => read.status >= 400),
	unbound: ([first, , other]) => brought(first) && Boolean(other) && brought(other),
}

/** What the documentation says of a launch, and whether the sandbox agrees. @param {Result} result */
export function verdict(result) {
	const use = result.failure ? undefined : useOf(result)
	const said = use && table[`${result.tokens} ${result.server}`]?.[use]
	if (result.failure) return 'fhirlink has granted nothing, so the server was not asked.'
	if (!use || !said) return 'fhirlink’s documentation says nothing of this combination.'
	const agrees = result.reads.length > 0 && checks[said[1]](result.reads)
	return `${uses[use]}, at ${servers[result.server]}: ${said[0]}. ${agrees ? 'The sandbox agrees.' : 'The sandbox’s answers are others: see which scopes were asked for.'}`
}
