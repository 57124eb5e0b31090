// Package cloudtest runs the built programs as separate processes, among servers on loopback that
// stand in for Entra, Key Vault, the managed identity and a FHIR server. The programs have no
// switch for tests: their settings are the ordinary ones. SSL_CERT_FILE, which Go reads, names the
// stand-ins' certificate, and IDENTITY_ENDPOINT names the stand-in for the identity.
package cloudtest
