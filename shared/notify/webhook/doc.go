// Package webhook sends events to the HTTPS endpoints that organizations name, signed as
// Standard Webhooks 1.0 says, and manages those endpoints.
//
// Each attempt is a POST of a CloudEvents 1.0 body with three headers: webhook-id, the same on
// every attempt; webhook-timestamp, seconds since 1970 of this attempt; webhook-signature, a
// space-separated list of "v1," and the base64 HMAC-SHA-256 of "id.timestamp.body". 2xx is a
// delivery, 410 Gone disables the endpoint, everything else is tried again; redirects are not
// followed. An attempt takes [Timeout] at most.
//
// The signing key is made here, kept in the secret store, and told once: when the endpoint is
// created and when its key is replaced. For [Overlap] after a replacement every attempt is
// signed with both keys, so that a receiver can change over when it likes.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package webhook
