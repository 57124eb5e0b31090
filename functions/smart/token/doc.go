// Package token hands out tokens to apps, and takes them back:
//
//	POST {issuer}/token                 exchanges a code or a refresh token (RFC 6749 §4.1.3, §6)
//	POST {issuer}/oauth2/v2.0/token     the same, where Microsoft's FHIR server looks after a failure
//	POST {issuer}/revoke                ends a grant (RFC 7009)
//
// Errors are those of RFC 6749 §5.2. No answer may be cached.
package token
