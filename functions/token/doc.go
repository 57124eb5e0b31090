// Package token serves POST /api/token, which issues an access token for the FHIR server of a
// link. The request is the client credentials grant (RFC 6749 §4.4) with the link's slug in
// place of a client's own credentials, or JSON {"slug":"…"}.
//
// It answers 200 as in RFC 6749 §5.1, with resource (RFC 8707). Every error has the body of RFC
// 6749 §5.2; 401 and 403 carry the challenges of RFC 6750 §3. No answer may be cached.
package token
