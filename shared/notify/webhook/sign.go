package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirlink/shared/secret"
)

// A key is written as "whsec_" and the base64 of its 24 to 64 bytes. Our keys have 32 bytes, the
// most that HMAC-SHA-256 can use.
const (
	keyPrefix   = "whsec_"
	keyBytes    = 32
	minKeyBytes = 24
	maxKeyBytes = 64
)

// newKey returns a random key.
func newKey() secret.Value {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return secret.New(keyPrefix + base64.StdEncoding.EncodeToString(key))
}

// decodeKey returns the bytes of a key. The error does not quote them.
func decodeKey(v secret.Value) ([]byte, error) {
	text, ok := strings.CutPrefix(v.Reveal(), keyPrefix)
	if !ok {
		return nil, errors.New("the signing key does not begin with " + keyPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < minKeyBytes || len(key) > maxKeyBytes {
		return nil, fmt.Errorf("the signing key is not the base64 of %d to %d bytes", minKeyBytes, maxKeyBytes)
	}
	return key, nil
}

// signature returns the value of webhook-signature: one signature for each key.
func signature(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%d.", id, at.Unix()) // a hash returns no error
		_, _ = mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
