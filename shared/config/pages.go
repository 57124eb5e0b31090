package config

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxServiceName = 60 // characters: it stands in the header of every page

// objectName is what Key Vault allows as the name of a secret or a key.
var objectName = regexp.MustCompile(`^[A-Za-z0-9-]{1,127}$`)

// seal reads the name of the secret whose versions are the sealing keys.
func (e *reader) seal() string {
	name := e.get(Seal)
	if name == "" {
		return DefaultSeal
	}
	if !objectName.MatchString(name) {
		e.addProblem(Seal, "cannot name a secret of a Key Vault: use 1 to 127 letters, digits and hyphens. It is the name alone, in the first vault, and not the key")
		return DefaultSeal
	}
	return name
}

// SealIn returns the name of the secret with the sealing keys as a secret store knows it.
func (c Config) SealIn() string {
	if len(c.Vaults) == 0 {
		return c.Seal
	}
	return c.Vaults[0].Name + "/" + c.Seal
}

// SignInClient returns the client id that people sign in to: the first one among the audiences; "" for
// none.
func (c Config) SignInClient() string {
	if i := slices.IndexFunc(c.Audiences, guidPattern.MatchString); i >= 0 {
		return c.Audiences[i]
	}
	return ""
}

func (e *reader) serviceName() string {
	name := e.get(ServiceName)
	if name == "" {
		return DefaultServiceName
	}
	if utf8.RuneCountInString(name) > maxServiceName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		e.addProblem(ServiceName, "is not a name of at most 60 printable characters in one line")
		return DefaultServiceName
	}
	return name
}

// link reads a link for people: https, or mailto if that is allowed.
func (e *reader) link(name string, mailto bool) string {
	text := e.get(name)
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil:
		return u.String()
	case err == nil && mailto && u.Scheme == "mailto" && isAddress(u.Opaque):
		return u.String()
	case mailto:
		e.addProblem(name, "is not a link such as mailto:help@contoso.com or https://contoso.com/help")
	default:
		e.addProblem(name, "is not a link such as https://contoso.com/privacy")
	}
	return ""
}

// isAddress reports whether text is one bare e-mail address.
func isAddress(text string) bool {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return false
	}
	address, err := mail.ParseAddress(plain)
	return err == nil && address.Address == plain
}
