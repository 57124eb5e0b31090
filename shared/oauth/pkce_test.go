package oauth_test

import (
	"strings"
	"testing"

	"fhirlink/shared/oauth"
)

// The example is that of RFC 7636, appendix B.
func TestVerifies(t *testing.T) {
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := oauth.S256(verifier); got != challenge {
		t.Errorf("the challenge is %q", got)
	}
	for _, n := range []int{42, 43, 128, 129} {
		long := strings.Repeat("x", n)
		if got, want := oauth.Verifies(long, oauth.S256(long)), n >= 43 && n <= 128; got != want {
			t.Errorf("a verifier of %d characters: %v", n, got)
		}
	}
	for _, wrong := range [][2]string{{verifier, ""}, {"", ""}, {verifier, verifier}, {verifier + "x", challenge}, {verifier, challenge + "="}, {verifier, strings.ToLower(challenge)}} {
		if oauth.Verifies(wrong[0], wrong[1]) {
			t.Errorf("%q has the challenge %q", wrong[0], wrong[1])
		}
	}
	if !oauth.Verifies(verifier, challenge) {
		t.Error("the example is refused")
	}
}
