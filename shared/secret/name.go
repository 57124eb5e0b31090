package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// MaxBytes is the longest value that every store takes. Key Vault's own limit is 25 kB; an
// Entra client secret has about 40 bytes.
const MaxBytes = 25_000

// NewName is a name that no secret of any store had before: kind, e.g. link, and 130 bits of
// chance. Stores use it for [Namer].
func NewName(kind string) string { return kind + "-" + strings.ToLower(rand.Text()) }

// CheckName tells why name cannot name a secret: Key Vault takes 1 to 127 ASCII letters,
// digits and hyphens (https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates).
func CheckName(name string) error {
	if len(name) < 1 || len(name) > 127 || strings.ContainsFunc(name, foreign) {
		return fmt.Errorf("%.140q cannot name a secret: use 1 to 127 letters, digits and hyphens", name)
	}
	return nil
}

// CheckValue tells why v cannot be stored; the text says nothing of v but its length.
func CheckValue(v Value) error {
	switch n := len(v.Reveal()); {
	case n == 0:
		return errors.New("an empty text cannot be stored as a secret")
	case n > MaxBytes:
		return fmt.Errorf("a secret of %d bytes cannot be stored: the longest has %d", n, MaxBytes)
	}
	return nil
}

func foreign(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '-')
}
