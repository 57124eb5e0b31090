package scripttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keys are the private keys of the apps that scripts play, by algorithm: the same for every server, so that
// their answers can be compared.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	const bits = 2048
	forRSA, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	forEC, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{string(jose.RS384): forRSA, string(jose.ES384): forEC}
})

// publicJWK is the public key for an algorithm, whose name is its kid. The keys for other algorithms are
// not there.
func publicJWK(algorithm string) string {
	key, ok := keys()[algorithm]
	if !ok {
		return "there is no key for " + algorithm
	}
	text, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: algorithm})
	if err != nil {
		panic(err) // it is a public key
	}
	return string(text)
}

// assertionForm is what a client assertion adds to a form. instruction is the value of the header Assertion.
func assertionForm(instruction string, now time.Time) (string, error) {
	words := strings.Fields(instruction)
	if len(words) < 3 || len(words) > 4 {
		return "", fmt.Errorf("the header Assertion, %q, is not an algorithm, a client id, an audience and perhaps a jti", instruction)
	}
	algorithm, client, audience, jti := words[0], words[1], words[2], rand.Text()
	if len(words) == 4 {
		jti = words[3]
	}
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: jose.JSONWebKey{Key: keys()[algorithm], KeyID: algorithm}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("the header Assertion, %q: %w", instruction, err)
	}
	claims, err := json.Marshal(map[string]any{"iss": client, "sub": client, "aud": audience, "jti": jti, "exp": now.Add(4 * time.Minute).Unix()})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	text, err := signed.CompactSerialize()
	return "&" + url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}}.Encode(), err
}
