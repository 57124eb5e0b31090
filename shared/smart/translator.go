package smart

import "strings"

// Options are the settings of a translation. The zero value means the dialect firely with the
// separator "-", no prefix and no aliases.
type Options struct {
	Dialect   Dialect
	Separator Separator // dialect firely only
	Resource  string    // literal prefix of encoded scopes: {resource}/{scope}; "" for none
	Aliases   Aliases
}

// Translator encodes scopes in one dialect and decodes them. If Encode accepts a scope, Decode
// returns that scope from the result; if Decode accepts a value, Encode returns that value from
// the result. Create a Translator with [New]. It is safe for concurrent use.
type Translator struct {
	dialect   Dialect
	separator Separator
	codec     codec
	resource  string
	prefix    string // resource + "/", or ""
	aliases   Aliases
}

// New checks the options and returns a Translator. The error is [Mistakes].
func New(o Options) (*Translator, error) {
	var found Mistakes
	if o.Dialect == "" {
		o.Dialect = Firely
	}
	if _, err := ParseDialect(string(o.Dialect)); err != nil {
		found = append(found, asMistake("dialect", err))
	}
	switch {
	case o.Dialect != Firely && o.Separator != 0:
		found = append(found, mistake("separator", "separator_not_used", "Only the dialect firely has a choice of separators.",
			"Leave separator out, or use the dialect firely."))
	case o.Dialect == Firely && o.Separator == 0:
		o.Separator = Dash
	case o.Dialect == Firely:
		if _, err := ParseSeparator(string(rune(o.Separator))); err != nil {
			found = append(found, asMistake("separator", err))
		}
	}
	if r := checkResource(o.Resource, o.Dialect); r != nil {
		found = append(found, Mistake{"resource", Advice(*r)})
	}
	if found != nil {
		return nil, found
	}
	t := &Translator{dialect: o.Dialect, separator: o.Separator, codec: o.Dialect.codec(o.Separator), resource: o.Resource, aliases: o.Aliases}
	if o.Resource != "" {
		t.prefix = o.Resource + "/"
	}
	return t, nil
}

// checkResource accepts any token as a prefix: an App ID URI, which may end in "/", or a client
// id.
func checkResource(resource string, d Dialect) *Refusal {
	if resource == "" {
		return nil
	}
	if r := checkToken(resource); r != nil {
		return refuse("invalid_resource", "The resource is put before scopes as it is. "+r.Message,
			"Send one App ID URI, such as api://fhir or https://fhir.example.org, or one client id, as it stands in Entra under Expose an API: printable ASCII, without white space, quotes and percent-encoding.")
	}
	if strings.HasSuffix(resource, "/.default") {
		return refuse("invalid_resource", "The resource ends in /.default, which is a scope of it.", "Leave /.default out.")
	}
	if found := findTriple(resource); found != "" && d == AHDS {
		return refuse("invalid_resource", "The resource holds "+found+", which Azure Health Data Services decodes.", "Write the character itself.")
	}
	return nil
}

func asMistake(field string, err error) Mistake {
	r, _ := err.(*Refusal)
	return Mistake{field, Advice(*r)}
}

// Dialect returns the translator's dialect.
func (t *Translator) Dialect() Dialect { return t.dialect }

// Separator returns the translator's separator. It is 0 unless the dialect is firely.
func (t *Translator) Separator() Separator { return t.separator }

// Encode returns one SMART scope in the translator's dialect, with the resource prefix. The error
// is a *[Refusal].
func (t *Translator) Encode(scope string) (string, error) {
	p, err := t.encode(scope)
	return p.full, err
}

// Decode returns the SMART scope of one encoded scope. The error is a *[Refusal].
func (t *Translator) Decode(value string) (string, error) {
	p, err := t.decode(value)
	return p.scope, err
}

// pair is one scope in its two spellings.
type pair struct {
	scope string // SMART
	value string // the value to register in Entra, without prefix
	full  string // the value that an app requests from Entra, with prefix
	own   bool   // one of Entra's own scopes: openid …, .default
	alias bool
}

func (t *Translator) encode(scope string) (pair, error) {
	if r := checkToken(scope); r != nil {
		return pair{}, r
	}
	if passes(scope) {
		return t.pass(scope)
	}
	value, alias := t.aliases.values[scope]
	if !alias {
		var err error
		if value, err = t.codec.encode(scope); err != nil {
			return pair{}, err
		}
		if other, taken := t.aliases.scopes[value]; taken {
			return pair{}, collision("It would be written like the alias of " + brief(other) + ".")
		}
	}
	return pair{scope: scope, value: value, full: t.prefix + value, alias: alias}, nil
}

// pass carries Entra's own scopes unchanged.
func (t *Translator) pass(scope string) (pair, error) {
	if scope == bareDefault && t.prefix != "" {
		return pair{}, refuse("default_with_resource", "A bare .default cannot be told from that of the resource.",
			"Send "+brief(t.prefix+bareDefault)+" if it is meant, which passes unchanged if the resource is an absolute URI or a GUID; or leave resource out.")
	}
	if found := findTriple(scope); found != "" && t.dialect == AHDS {
		return pair{}, refuse("lossy", "It holds "+found+", which Azure Health Data Services decodes.", "Write the character itself.")
	}
	value := scope
	if isDefault(scope) {
		value = bareDefault
	}
	return pair{scope: scope, value: value, full: scope, own: true}, nil
}

func (t *Translator) decode(full string) (pair, error) {
	if r := checkToken(full); r != nil {
		return pair{}, r
	}
	if passes(full) {
		return t.pass(full)
	}
	value, err := t.strip(full)
	if err != nil {
		return pair{}, err
	}
	scope, alias := t.aliases.scopes[value]
	if !alias {
		if scope, err = t.codec.decode(value); err != nil {
			return pair{}, err
		}
		if _, has := t.aliases.values[scope]; has || passes(scope) {
			again, err := t.encode(scope)
			return pair{}, notCanonical(again.full, err)
		}
	}
	return pair{scope: scope, value: value, full: full, alias: alias}, nil
}

// strip removes the resource prefix.
func (t *Translator) strip(full string) (string, error) {
	value, ok := strings.CutPrefix(full, t.prefix)
	switch {
	case !ok && strings.Contains(full, "/"):
		return "", rawSlash()
	case !ok:
		return "", refuse("prefix_missing", "It does not begin with the resource, as every encoded scope of it does.",
			"Leave resource out to decode the scopes of a token: its claims carry no prefix.")
	case value == "":
		return "", refuse("empty_scope", "There is no scope behind the resource prefix.", "Complete it.")
	}
	return value, nil
}

// notCanonical refuses a value that differs from what Encode writes for the decoded scope.
func notCanonical(again string, err error) *Refusal {
	const message = "It does not come back as it is when what it decodes to is encoded again"
	if err != nil {
		return refuse("not_canonical", message+": "+err.Error(), "Check that dialect, separator, resource and aliases are the ones it was encoded with.")
	}
	return refuse("not_canonical", message+": that gives "+brief(again)+".", "Send that value, or check dialect, separator, resource and aliases.")
}

const bareDefault = ".default"

// passes reports whether a scope is one of Entra's own, which are neither encoded nor prefixed.
func passes(scope string) bool { return isOIDC(scope) || isDefault(scope) }

// isDefault reports whether a scope is .default or {uri}/.default, where {uri} is an absolute URI
// without query (RFC 3986 section 4.3) or the GUID of an application.
func isDefault(scope string) bool {
	if scope == bareDefault {
		return true
	}
	uri, ok := strings.CutSuffix(scope, "/"+bareDefault)
	return ok && (isGUID(uri) || isAbsoluteURI(uri))
}

func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if _, digit := hexDigit(s[i]); dash != (s[i] == '-') || !dash && !digit {
			return false
		}
	}
	return true
}

func isAbsoluteURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" || !isScheme(scheme) {
		return false
	}
	if authority, hierarchical := strings.CutPrefix(rest, "//"); hierarchical && (authority == "" || authority[0] == '/') {
		return false
	}
	for i := range len(rest) {
		if !isWord(rest[i]) && strings.IndexByte("-.~:/[]@!$&'()*+,;=%", rest[i]) < 0 {
			return false
		}
	}
	return true
}

func isScheme(s string) bool {
	for i := range len(s) {
		letter := 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789+-.", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}
