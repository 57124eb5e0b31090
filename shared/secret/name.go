package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// MaxBytes is the longest value that every store takes. Key Vault's own limit is 25 kB; an
// Entra client secret has about 40 bytes.
const MaxBytes = 25_000

// NewName is a name that no secret of any store had before: kind, e.g. link, and 130 bits of
// chance. Stores use it for [Namer].
func NewName(kind string) string { return kind + "-" + strings.ToLower(rand.Text()) }

// MaxVault is the most characters that the name of a vault has, as in Key Vault.
const MaxVault = 24

var vaultName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

// IsVault tells whether name can name a vault.
func IsVault(name string) bool { return len(name) <= MaxVault && vaultName.MatchString(name) }

// SplitName takes a name apart: the vault that keeps the secret, "" where the name does not
// say, and what the secret is called there, which is what Key Vault takes: 1 to 127 ASCII
// letters, digits and hyphens
// (https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates).
func SplitName(name string) (vault, local string, err error) {
	vault, local, split := strings.Cut(name, "/")
	if !split {
		vault, local = "", name
	}
	if split && !IsVault(vault) || len(local) < 1 || len(local) > 127 || strings.ContainsFunc(local, foreign) {
		return "", "", fmt.Errorf("%.160q cannot name a secret: use 1 to 127 letters, digits and hyphens, and before them the name of a vault with a slash, if any", name)
	}
	return vault, local, nil
}

// CheckName tells why name cannot name a secret.
func CheckName(name string) error {
	_, _, err := SplitName(name)
	return err
}

// CheckLocal is CheckName for stores that have no vaults. What a name says to lie in one is not
// gone: ErrUnavailable.
func CheckLocal(name string) error {
	vault, _, err := SplitName(name)
	if err == nil && vault != "" {
		err = fmt.Errorf("secret %s: %w: it lies in the vault %q, and this store has no vaults", name, ErrUnavailable, vault)
	}
	return err
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
