// Package smart is the address of the authorization servers of links: what lies below their issuers,
// /api/smart/{slug}. Its packages answer.
//
// Apps, browsers and FHIR servers ask here, so errors are OAuth's (RFC 6749 §5.2) or pages, there is no
// Entra bearer, and unknown parameters are ignored (RFC 6749 §3.1). An unknown slug, a link that is not
// live, one without SMART authorization and a deployment without a public URL are answered alike.
package smart
