package smart

import (
	"fmt"
	"strings"
)

// Dialect is a way to spell SMART scopes without "/".
type Dialect string

// The dialects. The package documentation states the rule and the source of each.
const (
	Firely          Dialect = "firely"
	AHDS            Dialect = "ahds"
	FHIRServerProxy Dialect = "fhir-server-proxy"
	AADProxy        Dialect = "aad-proxy"
)

// ParseDialect returns the dialect with the given name. The error is a *[Refusal].
func ParseDialect(name string) (Dialect, error) {
	switch d := Dialect(name); d {
	case Firely, AHDS, FHIRServerProxy, AADProxy:
		return d, nil
	}
	return "", refuse("unknown_dialect", fmt.Sprintf("There is no dialect %s.", brief(name)),
		"Use firely, ahds, fhir-server-proxy or aad-proxy.")
}

// codec translates single scopes that are legal tokens. It is one-to-one: decode restores
// whatever encode accepts, and refuses whatever encode does not write.
type codec interface {
	encode(scope string) (string, error)
	decode(value string) (string, error)
}

func (d Dialect) codec(sep Separator) codec {
	switch d {
	case AHDS:
		return ahds{}
	case FHIRServerProxy:
		return replacer('$')
	case AADProxy:
		return replacer('-')
	default:
		return firely{sep}
	}
}

type firely struct{ Separator }

func (f firely) encode(scope string) (string, error) { return f.Encode(scope), nil }
func (f firely) decode(value string) (string, error) { return f.Decode(value) }

// replacer is the rule of the two retired proxies: "/" becomes one character, without escapes. It
// carries only scopes that do not contain that character.
type replacer byte

func (r replacer) encode(scope string) (string, error) {
	if strings.IndexByte(scope, byte(r)) >= 0 {
		return "", refuse("lossy", fmt.Sprintf(`It holds "%c", which this dialect writes for "/" and cannot escape: it could not be told apart afterwards.`, r),
			`Use the dialect firely, which escapes it, or ahds.`)
	}
	return strings.ReplaceAll(scope, "/", string(rune(r))), nil
}

func (r replacer) decode(value string) (string, error) {
	if strings.IndexByte(value, '/') >= 0 {
		return "", rawSlash()
	}
	return strings.ReplaceAll(value, string(rune(r)), "/"), nil
}
