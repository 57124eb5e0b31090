// Package client finds out which app sends a request: by a client secret, by an assertion that the app has
// signed, or, if it can keep no secret, by its word (RFC 6749 §2.3; SMART App Launch 2.2, "Client
// Authentication").
package client
