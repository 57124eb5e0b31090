// Package webhook manages the HTTPS endpoints that organizations name, and sends events to them,
// signed according to Standard Webhooks 1.0.
//
// Each attempt is a POST of a CloudEvents 1.0 body with three headers: webhook-id, the same on
// every attempt; webhook-timestamp, the time of this attempt in seconds since 1970;
// webhook-signature, a space-separated list of "v1," and the base64 HMAC-SHA-256 of
// "id.timestamp.body". 2xx is a delivery, 410 Gone disables the endpoint, and every other answer
// leads to a retry. Redirects are not followed. An attempt takes at most [Timeout].
//
// The package makes the signing key and keeps it in the secret store. The key is shown only once:
// when the endpoint is created and when the key is replaced. For [Overlap] after a replacement,
// every attempt is signed with both keys, so that receivers need not switch at the same moment.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package webhook
