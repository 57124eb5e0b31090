package smart

import (
	"fmt"
	"strings"
)

// Dialect is a way to spell SMART scopes without "/".
type Dialect string

// The dialects; the package documentation has the rule and the source of each.
const (
	Firely          Dialect = "firely"
	AHDS            Dialect = "ahds"
	FHIRServerProxy Dialect = "fhir-server-proxy"
	AADProxy        Dialect = "aad-proxy"
)

// ParseDialect finds a dialect by its name; the error is a *[Refusal].
func ParseDialect(name string) (Dialect, error) {
	switch d := Dialect(name); d {
	case Firely, AHDS, FHIRServerProxy, AADProxy:
		return d, nil
	}
	return "", refuse("unknown_dialect", fmt.Sprintf("There is no dialect %s.", brief(name)),
		"Use firely, ahds, fhir-server-proxy or aad-proxy.")
}

// codec spells single scopes that are legal tokens, one-to-one: decode turns back what encode
// accepts, and accepts nothing that encode does not write.
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

// replacer is the rule of the two retired proxies: "/" becomes one character, nothing is
// escaped. It carries the scopes in which that character does not occur.
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
