package entratest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"time"
)

// How long grants live
// (https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime).
const (
	codeLife    = 10 * time.Minute
	refreshLife = 90 * 24 * time.Hour // since the token was issued
	spaLife     = 24 * time.Hour      // of all tokens of a sign-in at an SPA, together
)

// Lengths of grants in characters, about as Entra's.
const (
	codeLength    = 1200
	refreshLength = 1500
)

// ticket is what a code or a refresh token stands for. As with Entra, its holder carries it, encrypted.
type ticket struct {
	Refresh  bool // it is a refresh token
	ID       string
	Number   uint64 // of the sign-in: a new password ends all up to a number
	SignedIn time.Time
	Issued   time.Time
	SignIn
}

// Code returns an authorization code for a sign-in, with which the user consents to its scopes.
func (a *Authority) Code(s SignIn) string {
	now := a.now()
	t := ticket{ID: rand.Text(), Number: a.consent(s), SignedIn: now, Issued: now, SignIn: s}
	t.Scopes.Names = nil // the token endpoint answers with all consented scopes
	return a.seal(t, codeLength)
}

// renew returns a refresh token of the same sign-in.
func (a *Authority) renew(t ticket) string {
	t.Refresh, t.ID, t.Issued = true, rand.Text(), a.now()
	t.Nonce, t.Challenge, t.Method, t.Changed, t.Forged = "", "", "", nil, false // they belong to the code
	return a.seal(t, refreshLength)
}

// seal encrypts a ticket. The text has at least the given length.
func (a *Authority) seal(t ticket, length int) string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(err) // claims that no test can intend
	}
	box, prefix := a.box(), "1."
	if missing := (length-len(prefix))*3/4 - box.NonceSize() - box.Overhead() - len(data); missing > 0 {
		data = append(data, bytes.Repeat([]byte(" "), missing)...)
	}
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, data, nil))
}

// open reads what seal has written.
func (a *Authority) open(text string) (t ticket, ok bool) {
	if len(text) < 2 {
		return ticket{}, false
	}
	box := a.box()
	data, err := base64.RawURLEncoding.DecodeString(text[2:])
	if err != nil || len(data) < box.NonceSize() {
		return ticket{}, false
	}
	if data, err = box.Open(nil, data[:box.NonceSize()], data[box.NonceSize():], nil); err != nil {
		return ticket{}, false
	}
	return t, json.Unmarshal(data, &t) == nil
}

// box encrypts with a key of this authority.
func (a *Authority) box() cipher.AEAD {
	block, err := aes.NewCipher(a.ticketKey[:])
	if err != nil {
		panic(err) // the key has a valid length
	}
	box, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return box
}

// spend marks a code as redeemed. It reports whether it was not before.
func (a *Authority) spend(id string) bool {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, at := range a.people.redeemed {
		if now.Sub(at) > 2*codeLife { // it has expired as well
			delete(a.people.redeemed, other)
		}
	}
	if _, was := a.people.redeemed[id]; was {
		return false
	}
	a.people.redeemed[id] = now
	return true
}

// proves reports whether a code_verifier belongs to the challenge (RFC 7636 §4.6).
func (s SignIn) proves(verifier string) bool {
	challenge := verifier
	if s.Method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		challenge = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(challenge), []byte(s.Challenge)) == 1
}
