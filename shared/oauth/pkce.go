package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// The length of a code_verifier (RFC 7636 §4.1).
const shortestVerifier, longestVerifier = 43, 128

// S256 is the code_challenge of a code_verifier (RFC 7636 §4.2).
func S256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verifies reports whether a code_verifier is as long as one must be, and has this challenge (RFC 7636 §4.6).
func Verifies(verifier, challenge string) bool {
	return len(verifier) >= shortestVerifier && len(verifier) <= longestVerifier &&
		subtle.ConstantTimeCompare([]byte(S256(verifier)), []byte(challenge)) == 1
}
