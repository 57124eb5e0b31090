// Package links serves the organization's links:
//
//	GET    /api/links                 a page of them: limit, continue, expiringWithin
//	GET    /api/links/{slug}          one, with its ETag
//	PATCH  /api/links/{slug}          changes fields
//	PUT    /api/links/{slug}/secret   replaces the client secret
//	DELETE /api/links/{slug}
//	GET    /api/links/{slug}/report   the report of its last verification
//	GET    /api/links/{slug}/events   a page of what was done with it: limit, continue
//
// PATCH, PUT and DELETE need If-Match (RFC 9110 §13.1.1): 428 without it, 412 when it is stale.
// A link of another organization gets 404 link_not_found, like one that does not exist.
package links
