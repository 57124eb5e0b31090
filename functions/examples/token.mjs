// Gets an access token for a link, and asks the link's FHIR server how many patients it has.
// Needs Node.js 18 or newer and no packages: node token.mjs
//
// token.sh says what the FHIRLINK_ variables mean, and where your application gets its own
// Entra token (FHIRLINK_ACCESS_TOKEN).

const env = process.env
const url = (env.FHIRLINK_URL || 'http://127.0.0.1:7071').replace(/\/+$/, '')
const slug = env.FHIRLINK_SLUG || 'good-health-clinic'

// A token must not follow a redirect to another server, so none is followed.
const send = (to, options) => fetch(to, { ...options, redirect: 'error', signal: AbortSignal.timeout(30_000) })

// problem returns the error in an answer of RFC 6749, section 5.2.
const problem = ({ error, error_description }) =>
  error ? `${error}: ${error_description}` : 'the answer is no OAuth error; does a proxy answer in place of the API?'

async function getToken() {
  const headers = env.FHIRLINK_ACCESS_TOKEN ? { Authorization: `Bearer ${env.FHIRLINK_ACCESS_TOKEN}` } : {}
  const body = new URLSearchParams({ grant_type: 'client_credentials', slug })
  const response = await send(`${url}/api/token`, { method: 'POST', headers, body })
  const answer = await response.json().catch(() => ({}))
  if (response.status === 503) {
    throw new Error(`Try again in ${response.headers.get('retry-after') ?? 'a few'} seconds: ${problem(answer)}`)
  }
  if (!response.ok) {
    throw new Error(`No token (HTTP ${response.status}): ${problem(answer)}`)
  }
  return answer
}

async function countPatients(fhir, accessToken) {
  const response = await send(`${fhir.replace(/\/+$/, '')}/Patient?_summary=count`, {
    headers: { Authorization: `Bearer ${accessToken}`, Accept: 'application/fhir+json' },
  })
  if (!response.ok) {
    throw new Error(`${fhir} refuses the token or the request (HTTP ${response.status}).`)
  }
  return (await response.json()).total
}

try {
  const token = await getToken()
  console.log(`Token for ${token.resource}, valid for ${token.expires_in} seconds.`)
  console.log(`Patients: ${await countPatients(env.FHIRLINK_FHIR_URL || token.resource, token.access_token)}`)
} catch (error) {
  console.error(error.cause ? `No answer: ${error.message} (${error.cause.message})` : error.message)
  process.exitCode = 1
}
