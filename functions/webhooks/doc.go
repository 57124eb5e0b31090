// Package webhooks serves the organization's webhooks, the HTTPS endpoints that events about
// its links are sent to:
//
//	GET    /api/webhooks               all of them, at most five
//	POST   /api/webhooks               creates one; the answer tells its signing key, once
//	GET    /api/webhooks/{id}
//	PATCH  /api/webhooks/{id}          changes url, description, enabled
//	DELETE /api/webhooks/{id}
//	POST   /api/webhooks/{id}/test     sends an event now and tells what became of it
//	POST   /api/webhooks/{id}/rotate   replaces the signing key; the answer tells the new one, once
//
// Events are CloudEvents 1.0, signed as Standard Webhooks 1.0 says. The webhook of another
// organization is 404 webhook_not_found, as one that does not exist.
package webhooks
