// Package discovery tells apps and FHIR servers about the authorization server of a link:
//
//	GET {issuer}/.well-known/smart-configuration    SMART App Launch 2.2, "Conformance"
//	GET {issuer}/.well-known/openid-configuration   OpenID Connect Discovery 1.0; the same document
//	GET {issuer}/jwks                               the public keys (RFC 7517)
//	GET {issuer}/discovery/v2.0/keys                the same: where Microsoft's FHIR server looks for a day after one failure
package discovery
