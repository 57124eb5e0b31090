package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// MaxBytes is the greatest size of a value in bytes, for every store. Key Vault's own limit is 25
// kB; an Entra client secret has about 40 bytes.
const MaxBytes = 25_000

// NewName returns a name that no secret in any store has had: kind, e.g. link, and 130 random
// bits. Stores use it to implement [Namer].
func NewName(kind string) string { return kind + "-" + strings.ToLower(rand.Text()) }

// MaxVault is the greatest length of a vault's name in characters, as in Key Vault.
const MaxVault = 24

var vaultName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

// IsVault reports whether name is a valid name of a vault.
func IsVault(name string) bool { return len(name) <= MaxVault && vaultName.MatchString(name) }

// SplitName splits a name into the vault, "" if the name contains none, and the secret's name in
// that vault. The latter follows the rule of Key Vault: 1 to 127 ASCII letters, digits and
// hyphens (https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates).
func SplitName(name string) (vault, local string, err error) {
	vault, local, split := strings.Cut(name, "/")
	if !split {
		vault, local = "", name
	}
	if split && !IsVault(vault) || len(local) < 1 || len(local) > 127 || strings.ContainsFunc(local, invalidInName) {
		return "", "", fmt.Errorf("%.160q cannot name a secret: use 1 to 127 letters, digits and hyphens, and before them the name of a vault with a slash, if any", name)
	}
	return vault, local, nil
}

// CheckName returns an error if name is not a valid name of a secret.
func CheckName(name string) error {
	_, _, err := SplitName(name)
	return err
}

// CheckLocal is CheckName for stores without vaults. A name with a vault is ErrUnavailable,
// because its secret still exists elsewhere.
func CheckLocal(name string) error {
	vault, _, err := SplitName(name)
	if err == nil && vault != "" {
		err = fmt.Errorf("secret %s: %w: it lies in the vault %q, and this store has no vaults", name, ErrUnavailable, vault)
	}
	return err
}

// CheckValue returns an error if v cannot be stored. The error reveals nothing about v but its
// length.
func CheckValue(v Value) error {
	switch n := len(v.Reveal()); {
	case n == 0:
		return errors.New("an empty text cannot be stored as a secret")
	case n > MaxBytes:
		return fmt.Errorf("a secret of %d bytes cannot be stored: the longest has %d", n, MaxBytes)
	}
	return nil
}

func invalidInName(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '-')
}
