// Package redirect checks and compares the addresses at which apps are answered (RFC 6749 §3.1.2,
// RFC 8252 §7).
package redirect
