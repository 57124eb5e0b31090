package jwks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/problem"
)

// Algorithms are those that apps may sign with.
var Algorithms = []jose.SignatureAlgorithm{jose.RS384, jose.ES384}

const (
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // so that nobody makes a check cost seconds
)

// Set is a set of public keys. The zero Set has none.
type Set struct {
	text []byte // as it was sent, compact
	keys []jose.JSONWebKey
}

var (
	// ErrNoKey means that no key of a set has the key id and fits the algorithm.
	ErrNoKey = errors.New("no key of the set has this key id and fits the algorithm")
	// ErrSeveralKeys means that it cannot be said which of several keys was meant.
	ErrSeveralKeys = errors.New("several keys of the set have this key id")
	errNoSet       = errors.New("this is no JSON object with a list of keys")
)

// Parse reads a set. Keys that cannot be used are left out, as other services may use them. The error says
// that it is no set at all.
func Parse(text []byte) (Set, error) {
	_, keys, err := parse(text)
	if err != nil {
		return Set{}, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return Set{}, errNoSet
	}
	s := Set{text: compact.Bytes()}
	for _, one := range keys {
		if one.err == nil && usable(one.key) {
			s.keys = append(s.keys, one.key)
		}
	}
	return s, nil
}

// member is one member of a set.
type member struct {
	raw json.RawMessage
	key jose.JSONWebKey
	err error // why it cannot be read
}

func parse(text []byte) (all []json.RawMessage, keys []member, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil || set.Keys == nil {
		return nil, nil, errNoSet
	}
	for _, raw := range *set.Keys {
		one := member{raw: raw}
		one.err = one.key.UnmarshalJSON(raw)
		keys = append(keys, one)
	}
	return *set.Keys, keys, nil
}

// usable reports whether a key can check a signature of one of the algorithms.
func usable(k jose.JSONWebKey) bool {
	return slices.ContainsFunc(Algorithms, func(a jose.SignatureAlgorithm) bool { return fits(k, a) })
}

// fits reports whether a key may check signatures of an algorithm.
func fits(k jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if k.KeyID == "" || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(algorithm) {
		return false
	}
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == jose.RS384 && public.N.BitLen() >= minRSABits && public.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return algorithm == jose.ES384 && public.Curve == elliptic.P384()
	}
	return false
}

// Find returns the key that checks signatures with a key id and an algorithm. Errors: ErrNoKey,
// ErrSeveralKeys.
func (s Set) Find(keyID string, algorithm jose.SignatureAlgorithm) (key any, err error) {
	for _, k := range s.keys {
		if k.KeyID != keyID || !fits(k, algorithm) {
			continue
		}
		if key != nil {
			return nil, ErrSeveralKeys
		}
		key = k.Key
	}
	if key == nil {
		return nil, ErrNoKey
	}
	return key, nil
}

// IsZero reports whether there is no set.
func (s Set) IsZero() bool { return len(s.text) == 0 }

// MarshalJSON writes the set as it was sent.
func (s Set) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return s.text, nil
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *Set) UnmarshalJSON(text []byte) (err error) {
	if string(text) == "null" {
		*s = Set{}
		return nil
	}
	*s, err = Parse(text)
	return err
}

// Bounds of a set that an organization sends.
const (
	MaxKeys = 16
	MaxSize = 32 << 10 // bytes
)

// Check says what is wrong with a set that is to be kept; nil: nothing. It is stricter than Parse, because
// whoever sends it can correct it.
func Check(text []byte) *problem.Field {
	if len(text) > MaxSize {
		return mistake("too_large", fmt.Sprintf("The key set has %d bytes.", len(text)), "Send at most 32 KiB: public keys only, without certificates.")
	}
	all, keys, err := parse(text)
	switch {
	case err != nil:
		return mistake("jwks_syntax", "The key set is no JSON object with a list of keys.", `Send {"keys":[{"kty":"EC","crv":"P-384","kid":"...","x":"...","y":"..."}]}.`)
	case len(all) == 0:
		return mistake("required", "The key set has no key.", "Send the public key with which the app signs, or the address of its key set in jwksUri.")
	case len(all) > MaxKeys:
		return mistake("too_many", fmt.Sprintf("The key set has %d keys.", len(all)), "Send at most 16.")
	}
	seen := map[string]bool{}
	for i, one := range keys {
		if private(one.raw) {
			return mistake("private_key", fmt.Sprintf("Key %d of the key set has private members. Whoever sees a private key can act as the app.", i+1), "Make a new key pair, and send its public half: for EC the members kty, crv, kid, x and y, for RSA kty, kid, n and e.")
		}
	}
	for i, one := range keys {
		if found := wrong(i+1, one); found != nil {
			return found
		}
		if seen[one.key.KeyID] {
			return mistake("kid_repeated", fmt.Sprintf("Several keys of the key set have the kid %.64q.", one.key.KeyID), "Give each key a kid of its own: it is how an assertion names its key.")
		}
		seen[one.key.KeyID] = true
	}
	return nil
}

// wrong says what is wrong with a public key.
func wrong(number int, one member) *problem.Field {
	switch {
	case one.err != nil:
		return mistake("key_syntax", fmt.Sprintf("Key %d of the key set cannot be read.", number), "Send it as RFC 7517 says: for EC the members kty, crv, kid, x and y, for RSA kty, kid, n and e.")
	case one.key.KeyID == "":
		return mistake("kid_missing", fmt.Sprintf("Key %d of the key set has no kid.", number), "Give it one: it is how an assertion names its key.")
	case !usable(one.key):
		return mistake("key_unusable", fmt.Sprintf("Key %d of the key set (kid %.64q) can check signatures of neither RS384 nor ES384.", number, one.key.KeyID), "Send an RSA key of 2048 to 8192 bits, or an EC key on the curve P-384, without alg and use or with those for signing.")
	}
	return nil
}

func mistake(code, message, fix string) *problem.Field {
	return &problem.Field{Field: "jwks", Code: code, Message: message, Fix: fix}
}

// private reports whether a key has members that only its owner may know.
func private(raw []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return false
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, has := members[name]; has {
			return true
		}
	}
	return false
}
