package smart

import (
	"iter"
	"strings"
)

// Kind is the kind of a scope.
type Kind string

// The kinds of scopes. A custom scope is any other string; the codecs carry it all the same.
const (
	Resource Kind = "resource" // patient/…, user/…, system/…
	Launch   Kind = "launch"   // launch, launch/…
	OIDC     Kind = "oidc"     // openid, profile, email, offline_access
	Custom   Kind = "custom"
)

// Version is the syntax of a scope's permissions.
type Version int

// SMART v1 has read, write and *; v2 has the letters c, r, u, d and s, in this order.
const (
	NoVersion Version = 0
	V1        Version = 1
	V2        Version = 2
)

// Scope is a parsed scope. Only resource scopes have a context, a type and permissions:
//
//	scope      = context "/" type "." permissions [ "?" query ]
//	context    = "patient" / "user" / "system"
//	query      = parameter *( "&" parameter )
//	parameter  = name "=" value
//
// (SMART App Launch 2.2, "Scopes for requesting FHIR Resources"). Parsing never fails: malformed
// parts show in the fields, and [Translator] warns of them.
type Scope struct {
	Kind        Kind
	Context     string // patient, user or system; "launch" for a launch scope
	Type        string // a resource type or "*"; "patient" for launch/patient
	Permissions string // as written: "rs", "read", "*"
	Query       string // what follows the first "?", for any kind of scope
	FullURI     bool   // http://…, https://…: an operation or the URI form of a scope
	granular    bool   // there is a "?"
	text        string
}

// Parameter is one search parameter of a granular scope.
type Parameter struct{ Name, Value string }

// Parse takes a scope apart. s is the SMART spelling, with "/". Parse never fails.
func Parse(s string) Scope {
	p := Scope{Kind: Custom, text: s}
	var head string
	head, p.Query, p.granular = strings.Cut(s, "?")
	context, rest, slash := strings.Cut(head, "/")
	switch {
	case isOIDC(s):
		p.Kind = OIDC
	case context == "launch":
		p.Kind, p.Context, p.Type = Launch, context, rest
	case slash && isContext(context):
		p.Kind, p.Context = Resource, context
		p.Type, p.Permissions, _ = strings.Cut(rest, ".")
	default:
		p.FullURI = strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
	}
	return p
}

// String returns the scope exactly as it was parsed.
func (s Scope) String() string { return s.text }

// Version returns the version of the permissions' syntax, or NoVersion if they match neither.
func (s Scope) Version() Version {
	switch {
	case s.Kind != Resource:
		return NoVersion
	case s.Permissions == "read", s.Permissions == "write", s.Permissions == "*":
		return V1
	case s.Permissions != "" && strings.Trim(s.Permissions, "cruds") == "":
		return V2
	}
	return NoVersion
}

// Parameters returns the search parameters of the query, in order. Without a query there are
// none.
func (s Scope) Parameters() iter.Seq[Parameter] {
	return func(yield func(Parameter) bool) {
		if !s.granular {
			return
		}
		for part := range strings.SplitSeq(s.Query, "&") {
			name, value, _ := strings.Cut(part, "=")
			if !yield(Parameter{name, value}) {
				return
			}
		}
	}
}

func isContext(s string) bool { return s == "patient" || s == "user" || s == "system" }

// isOIDC reports whether s is one of the four scopes that Entra serves itself, for Microsoft
// Graph. They are never registered, prefixed or escaped
// (https://learn.microsoft.com/entra/identity-platform/scopes-oidc).
func isOIDC(s string) bool {
	return s == "openid" || s == "profile" || s == "email" || s == "offline_access"
}

// Split cuts a scope list at ASCII white space and at nothing else. RFC 6749 section 3.3 allows
// one space; Split also accepts runs, tabs and line breaks.
func Split(list string) []string {
	scopes := make([]string, 0, count(list))
	from := 0
	for i := range len(list) {
		if !isSpace(list[i]) {
			continue
		}
		if from < i {
			scopes = append(scopes, list[from:i])
		}
		from = i + 1
	}
	if from < len(list) {
		scopes = append(scopes, list[from:])
	}
	return scopes
}

// count returns the number of scopes in a list.
func count(list string) int {
	n := 0
	for i := range len(list) {
		if !isSpace(list[i]) && (i == 0 || isSpace(list[i-1])) {
			n++
		}
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
