package config

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"

	"fhirlink/shared/secret"
)

// Vault is a Key Vault. Its name begins the names of the secrets that links store.
type Vault struct {
	Name string // secret.IsVault
	URL  string // https://{vault}, no trailing slash
}

// vaults reads the list of vaults. Each entry is a URL or name=URL. New secrets go to the first
// vault.
func (e *reader) vaults() []Vault {
	var before []Vault
	return list(e, KeyVaultURL, func(text string) (Vault, error) {
		v, mistakes := parseVault(text)
		if v.Name != "" && slices.ContainsFunc(before, func(b Vault) bool { return b.Name == v.Name }) {
			mistakes = append(mistakes, "has the name of an entry before it: give it one of its own, as name=URL")
		}
		if v.URL != "" && slices.ContainsFunc(before, func(b Vault) bool { return b.URL == v.URL }) {
			mistakes = append(mistakes, "is the vault of an entry before it")
		}
		before = append(before, v)
		if mistakes != nil {
			return Vault{}, errors.New(strings.Join(mistakes, "; and it "))
		}
		return v, nil
	})
}

// parseVault reads one entry. Invalid parts stay empty in the Vault.
func parseVault(text string) (v Vault, mistakes []string) {
	name, address, named := strings.Cut(text, "=")
	if !named || strings.Contains(name, "/") { // the = belongs to a query
		name, address, named = "", text, false
	}
	u, err := serviceURL(strings.TrimSpace(address), vaultURL)
	switch name = strings.TrimSpace(name); {
	case named && !secret.IsVault(name):
		mistakes = append(mistakes, "has a name that cannot be one: use 1 to 24 lower-case letters, digits and single hyphens")
	case named:
		v.Name = name
	case err == nil:
		if v.Name = nameOf(u.Hostname()); v.Name == "" {
			mistakes = append(mistakes, "has a host that gives it no name: give it one, as name=URL")
		}
	}
	if err != nil {
		return v, append(mistakes, err.Error())
	}
	v.URL = withoutSlash(u)
	return v, mistakes
}

// nameOf derives a vault's name from its host: the first label, or the whole IP address, with
// hyphens for characters that a name cannot have.
func nameOf(host string) string {
	if net.ParseIP(host) == nil {
		host, _, _ = strings.Cut(host, ".")
	}
	words := strings.FieldsFunc(host, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	name := strings.Join(words, "-")
	return strings.TrimRight(name[:min(len(name), secret.MaxVault)], "-")
}

// vaultURL removes the default port, so that a vault has only one URL.
func vaultURL(u *url.URL) error {
	u.Host = strings.ToLower(strings.TrimSuffix(u.Host, ":443"))
	if strings.HasSuffix(u.Hostname(), ".") {
		return errors.New("has a dot at the end of its host: leave it out")
	}
	if u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return errors.New("must be https and name the vault only, e.g. https://contoso.vault.azure.net")
	}
	return nil
}
