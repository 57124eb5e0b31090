// Package webhooks serves the organization's webhooks, the HTTPS endpoints that events about
// its links are sent to:
//
//	GET    /api/webhooks               all of them, at most five
//	POST   /api/webhooks               creates one; only this answer shows its signing key
//	GET    /api/webhooks/{id}
//	PATCH  /api/webhooks/{id}          changes url, description, enabled
//	DELETE /api/webhooks/{id}
//	POST   /api/webhooks/{id}/test     sends an event now and reports the result
//	POST   /api/webhooks/{id}/rotate   replaces the signing key; only this answer shows the new one
//
// Events are CloudEvents 1.0, signed as Standard Webhooks 1.0 specifies. A webhook of another
// organization gets 404 webhook_not_found, like one that does not exist.
package webhooks
