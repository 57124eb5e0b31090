// Package oauth defines the OAuth 2.0 answers of the token endpoint: the error codes and the
// error body of RFC 6749 §5.2, the success body of §5.1, and the Bearer challenges of RFC 6750
// §3.
package oauth
