package smart

import (
	"fmt"
	"strings"
)

// ahds is the spelling that Azure Health Data Services expects from Entra. Before "?", "/"
// becomes "." and a type or permission that is exactly "*" becomes "all"; after "?", "/" becomes
// "%2f". The dialect has no escapes, so a scope that the receiver would read differently is
// refused.
type ahds struct{}

func (ahds) encode(scope string) (string, error) {
	head, query, granular := strings.Cut(scope, "?")
	context, rest, slash := strings.Cut(head, "/")
	if !ahdsTakes(context, slash) {
		return "", refuse("unsupported_scope", "Azure Health Data Services takes patient/, user/, system/ and launch scopes only.",
			"Leave it out of this request and register it under its own name, or give it an alias.")
	}
	if strings.Contains(rest, "/") {
		return "", refuse("lossy", `It has a second "/" before "?", which this dialect could not tell from a ".".`, "Use the dialect firely, or give it an alias.")
	}
	if found := findTriple(scope); found != "" {
		return "", refuse("lossy", fmt.Sprintf("It holds %s, which Azure Health Data Services decodes.", found), "Write the character itself instead of the percent triple, or use the dialect firely.")
	}
	if isContext(context) {
		var err error
		if rest, err = swapWords(rest, "*", "all"); err != nil {
			return "", err
		}
	}
	return join(context, ".", slash, rest, granular, strings.ReplaceAll(query, "/", "%2f")), nil
}

func (a ahds) decode(value string) (string, error) {
	scope, err := a.read(value)
	if err != nil {
		return "", err
	}
	if again, err := a.encode(scope); err != nil || again != value {
		return "", notCanonical(again, err)
	}
	return scope, nil
}

// read also accepts what encode does not write, such as %2F in capitals.
func (ahds) read(value string) (string, error) {
	head, query, granular := strings.Cut(value, "?")
	context, rest, dot := strings.Cut(head, ".")
	if strings.Contains(value, "/") {
		return "", rawSlash()
	}
	if !ahdsTakes(context, dot) {
		return "", refuse("unsupported_scope", "Azure Health Data Services' spelling begins with patient., user., system. or launch.",
			"Check that the dialect is the one the value was encoded with.")
	}
	query = strings.ReplaceAll(query, "%2f", "/")
	if isContext(context) {
		var err error
		if rest, err = swapWords(rest, "all", "*"); err != nil {
			return "", err
		}
	}
	return join(context, "/", dot, rest, granular, query), nil
}

func ahdsTakes(context string, separated bool) bool {
	return context == "launch" || separated && isContext(context)
}

// swapWords replaces from with to where it is the whole type or the whole permission of
// "type.permission". A type or permission that already is to could not be decoded back, so it is
// refused.
func swapWords(rest, from, to string) (string, error) {
	kind, permission, dot := strings.Cut(rest, ".")
	if kind == to || dot && permission == to {
		return "", refuse("lossy", fmt.Sprintf(`It holds %q as a type or permission, which this dialect's other spelling writes as %q: it would not come back as it was.`, to, from),
			fmt.Sprintf(`Write %q, which means the same.`, from))
	}
	if kind == from {
		kind = to
	}
	if permission == from {
		permission = to
	}
	return join(kind, ".", dot, permission, false, ""), nil
}

// join reassembles the parts of two strings.Cut calls.
func join(left, mark string, marked bool, right string, granular bool, query string) string {
	if !marked {
		mark = ""
	}
	if !granular {
		return left + mark + right
	}
	return left + mark + right + "?" + query
}
