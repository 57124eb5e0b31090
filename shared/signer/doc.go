// Package signer signs what this deployment states: the id tokens and access tokens of SMART
// authorization (RS256, RFC 7518 §3.3). All links share one key. Its private half stays where it is: in
// Key Vault (package keyvault), or in a file of cmd/local (package keyfile).
//
// A key has versions. A new one is published at once and signs after 25 hours, when everybody who keeps
// our key set for a day has it; the first one signs at once. An old one stays published until it is
// disabled.
package signer
