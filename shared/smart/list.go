package smart

import "strings"

// Result is the translation of one scope of a list.
type Result struct {
	Input    string   `json:"input"`
	Decoded  string   `json:"decoded,omitempty"` // the SMART scope; only in results of a [Conversion]
	Output   string   `json:"output,omitempty"`
	Error    *Refusal `json:"error,omitempty"` // set instead of Output
	Kind     Kind     `json:"kind"`
	Entra    Entra    `json:"entra"`
	Warnings []Advice `json:"warnings"` // never nil

	pair   pair
	parsed Scope
}

func (r *Result) warn(a ...Advice) { r.Warnings = append(r.Warnings, a...) }

// Results holds one translation for each distinct scope of a list, in order of first appearance.
type Results []Result

// Refused reports whether any scope was refused. If so, no part of the list should be used.
func (rs Results) Refused() bool {
	for _, r := range rs {
		if r.Error != nil {
			return true
		}
	}
	return false
}

// Registrable reports whether Entra registers every value of the list, and there is one.
func (rs Results) Registrable() bool {
	for _, r := range rs {
		if !r.Entra.Registrable {
			return false
		}
	}
	return len(rs) > 0
}

// Scope returns the outputs joined by single spaces (RFC 6749 section 3.3).
func (rs Results) Scope() string {
	outputs := make([]string, len(rs))
	for i, r := range rs {
		outputs[i] = r.Output
	}
	return strings.Join(outputs, " ")
}

// EncodeAll encodes a list of SMART scopes.
func (t *Translator) EncodeAll(scopes []string) Results {
	return t.all(scopes, func(in string) (Result, error) {
		p, err := t.encode(in)
		return Result{Output: p.full, pair: p, parsed: Parse(in)}, err
	})
}

// DecodeAll decodes a list of encoded scopes.
func (t *Translator) DecodeAll(values []string) Results {
	return t.all(values, func(in string) (Result, error) {
		p, err := t.decode(in)
		if err != nil {
			return Result{parsed: Parse(in)}, err
		}
		return Result{Output: p.scope, pair: p, parsed: Parse(p.scope)}, nil
	})
}

// Conversion translates scopes from one dialect to another by way of SMART.
type Conversion struct{ From, To *Translator }

// All converts a list of scopes that From encoded.
func (c Conversion) All(values []string) Results {
	return c.To.all(values, func(in string) (Result, error) {
		old, err := c.From.decode(in)
		if err != nil {
			return Result{parsed: Parse(in)}, err
		}
		p, err := c.To.encode(old.scope)
		return Result{Decoded: old.scope, Output: p.full, pair: p, parsed: Parse(old.scope)}, err
	})
}

// all applies translate to each distinct input, and adds the limits and advice for the receiver of
// t.
func (t *Translator) all(inputs []string, translate func(string) (Result, error)) Results {
	results := make(Results, 0, len(inputs))
	seen := make(map[string]bool, len(inputs))
	for _, in := range inputs {
		if seen[in] {
			continue
		}
		seen[in] = true
		r, err := translate(in)
		r.Input, r.Kind, r.Warnings = in, r.parsed.Kind, []Advice{}
		if err != nil {
			r.refused(err)
		} else {
			t.judge(&r)
		}
		results = append(results, r)
	}
	t.judgeTogether(results)
	return results
}

func (r *Result) refused(err error) {
	r.Output, r.Error = "", err.(*Refusal)
	r.Entra = entraOf(r.Input)
	r.Entra.Registrable = false
	if len(r.Entra.Reasons) == 0 {
		r.Entra.Reasons = append(r.Entra.Reasons, Untranslatable)
	}
}

// judge adds Entra's limits and the advice about one scope.
func (t *Translator) judge(r *Result) {
	if r.pair.own {
		r.Entra = Entra{true, []string{}, len(r.pair.value)}
		return
	}
	r.Entra = entraOf(r.pair.value)
	r.warn(entraAdvice(r.Entra, r.pair.value, t.dialect, t.separator)...)
	r.warn(t.spellingAdvice(r)...)
	r.warn(syntaxAdvice(r.parsed, t.dialect)...)
}

// judgeTogether adds advice that depends on the whole list. If a list names two resources, the
// first scope of the second one is refused: Entra gives a token for one resource (AADSTS28000).
func (t *Translator) judgeTogether(results Results) {
	var (
		versions first[Version]
		contexts first[string]
		resource string
	)
	several := results.asksAtLeastTwo()
	for i := range results {
		r := &results[i]
		if r.Error != nil {
			continue
		}
		if own := t.resourceOf(r.pair); resource == "" {
			resource = own
		} else if own != "" && own != resource {
			r.refused(refuse("two_resources", "It belongs to another resource than the scopes before it, "+brief(resource)+"; Entra gives a token for one.",
				"Send one request for each resource."))
			continue
		}
		if v := r.parsed.Version(); v != NoVersion && versions.differs(v) {
			r.warn(mixedVersions)
		}
		if r.Kind == Resource && t.microsoft() && contexts.differs(r.parsed.Context) {
			r.warn(mixedContexts)
		}
		if several && isDefault(r.pair.scope) {
			r.warn(defaultNotAlone)
		}
	}
}

// resourceOf returns the URI that a scope names when it is sent to Entra. It returns "" if the
// scope names none, or names a GUID, which may belong to the same application.
func (t *Translator) resourceOf(p pair) string {
	uri := t.resource
	if p.own {
		uri = strings.TrimSuffix(p.full, "/"+bareDefault)
	}
	if !isAbsoluteURI(uri) {
		return ""
	}
	return strings.TrimSuffix(uri, "/")
}

// asksAtLeastTwo reports whether at least two scopes are not OpenID Connect's.
func (rs Results) asksAtLeastTwo() bool {
	n := 0
	for _, r := range rs {
		if r.Kind != OIDC {
			n++
		}
	}
	return n > 1
}

// first remembers the first value that it sees.
type first[T comparable] struct{ value T }

func (f *first[T]) differs(value T) bool {
	var none T
	if f.value == none {
		f.value = value
	}
	return f.value != value
}
