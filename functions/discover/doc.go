// Package discover serves POST /api/discover, which says what a FHIR server's URL alone tells: the URL
// as it would be stored, the kind of server, its FHIR version, tenant and audience.
//
// It answers 200 with a report of the checks that need no credentials, whatever they find, or 422
// invalid_fields for a URL that cannot be used.
package discover
