// Package apps serves the apps that users of a link's FHIR server may use:
//
//	GET    /api/links/{slug}/apps                      a page of them: limit, continue
//	POST   /api/links/{slug}/apps                      registers one
//	GET    /api/links/{slug}/apps/{clientId}           one, with its ETag
//	PATCH  /api/links/{slug}/apps/{clientId}           changes fields
//	DELETE /api/links/{slug}/apps/{clientId}           removes it: what it was granted is dead
//	POST   /api/links/{slug}/apps/{clientId}/secret    gives it another client secret
//
// PATCH and DELETE need If-Match (RFC 9110 §13.1.1): 428 without it, 412 when it is stale. A client secret
// is shown once, in the answer that makes it.
package apps
