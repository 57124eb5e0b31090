// Package jwks reads the public keys with which apps sign (RFC 7517), and keeps the sets that apps publish
// for as long as those allow. Keys fit for one of SMART's two algorithms only, RS384 or ES384 (SMART App
// Launch 2.2, "Client Authentication: Asymmetric").
package jwks
