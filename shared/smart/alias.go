package smart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Aliases maps scopes that no dialect fits into Entra's 120 characters to agreed short values,
// and back. The receiving server does not know these values: a component in front of it must
// decode the token's scopes. The zero value is empty. Aliases is immutable.
type Aliases struct {
	values map[string]string // by SMART scope
	scopes map[string]string // by value
}

// NewAliases checks a map from SMART scope to value. It refuses a value that belongs to two scopes,
// that is a scope of the map or reads as a scope, or that Entra will not register. The error is
// [Mistakes] and names all of them.
func NewAliases(byScope map[string]string) (Aliases, error) { return Aliases{}.With(byScope) }

// ParseAliases reads the setting FHIRLINK_SCOPE_ALIASES: a JSON object from SMART scope to value,
// or an empty string. The error is [Mistakes].
func ParseAliases(setting string) (Aliases, error) {
	if strings.TrimSpace(setting) == "" {
		return Aliases{}, nil
	}
	byScope, err := parseObject(setting)
	if err != nil {
		return Aliases{}, Mistakes{mistake("aliases", "invalid_aliases", fmt.Sprintf("It is not a JSON object of strings: %v.", err),
			`Write it as {"patient/DocumentReference.rs?category=…|clinical-note":"docref-clinical-note"}.`)}
	}
	return NewAliases(byScope)
}

// parseObject reads one flat JSON object. Unlike json.Unmarshal, it refuses duplicate keys.
func parseObject(text string) (map[string]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	object := map[string]string{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errors.New("a key cannot be read")
		}
		name, _ := key.(string) // the decoder accepts nothing but strings as keys
		var value string
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("the value of %s is not a string", brief(name))
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("%s stands there twice", brief(name))
		}
		object[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it does not end with }")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}

// With returns the aliases with byScope added. A scope that already has another value is refused;
// the error is [Mistakes].
func (a Aliases) With(byScope map[string]string) (Aliases, error) {
	if len(byScope) == 0 {
		return a, nil
	}
	both := Aliases{maps.Clone(a.values), maps.Clone(a.scopes)}
	if both.values == nil {
		both = Aliases{map[string]string{}, map[string]string{}}
	}
	var found Mistakes
	for _, scope := range slices.Sorted(maps.Keys(byScope)) {
		if refusal := both.add(scope, byScope[scope]); refusal != nil {
			found = append(found, Mistake{"aliases", Advice(*refusal)})
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(both.values)) {
		if other, ok := both.scopes[scope]; ok && other != scope {
			found = append(found, Mistake{"aliases", Advice(*collision(fmt.Sprintf("%s is an alias and has one itself.", brief(scope))))})
		}
	}
	if found != nil {
		return Aliases{}, found
	}
	return both, nil
}

func (a Aliases) add(scope, value string) *Refusal {
	if refusal := checkAlias(scope, value); refusal != nil {
		return refusal
	}
	if old, ok := a.values[scope]; ok && old != value {
		return collision(fmt.Sprintf("%s has the alias %s already.", brief(scope), brief(old)))
	}
	if other, ok := a.scopes[value]; ok && other != scope {
		return collision(fmt.Sprintf("%s stands for %s and %s.", brief(value), brief(other), brief(scope)))
	}
	a.values[scope], a.scopes[value] = value, scope
	return nil
}

func checkAlias(scope, value string) *Refusal {
	if r := checkToken(scope); r != nil {
		return refuse("invalid_alias", fmt.Sprintf("The scope %s: %s", brief(scope), r.Message), r.Fix)
	}
	if passes(scope) || passes(value) {
		return refuse("invalid_alias", fmt.Sprintf("%s for %s: Entra's own scopes have and are no aliases.", brief(value), brief(scope)), "Remove this entry.")
	}
	if r := checkToken(value); r != nil {
		return refuse("invalid_alias", fmt.Sprintf("The alias %s: %s", brief(value), r.Message), r.Fix)
	}
	if !entraOf(value).Registrable || findTriple(value) != "" {
		return refuse("invalid_alias", fmt.Sprintf("Entra will not register the alias %s.", brief(value)),
			`Take at most 120 of the characters that Entra allows, without "/", "\" and percent triples, and none beginning with a period.`)
	}
	if readsAsScope(value) {
		return refuse("invalid_alias", fmt.Sprintf("A receiver would take the alias %s for a SMART scope of its own.", brief(value)),
			"Do not let it begin with patient, user, system or launch and a punctuation mark.")
	}
	return nil
}

func collision(message string) *Refusal {
	return refuse("alias_collision", message, "Give every scope an alias of its own, which is no other scope's.")
}

// readsAsScope reports whether a receiver of some dialect could read a value as a resource or
// launch scope: fhir-server accepts "/", "$" and ".", Firely Server any separator.
func readsAsScope(value string) bool {
	for _, context := range []string{"patient", "user", "system", "launch"} {
		rest, ok := strings.CutPrefix(value, context)
		if ok && (rest == "" || !isWord(rest[0])) {
			return true
		}
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
