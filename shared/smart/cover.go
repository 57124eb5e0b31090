package smart

import (
	"regexp"
	"strings"
	"sync"
)

// Covers reports whether whoever holds the scope a may be given the scope b, because b allows nothing
// that a does not.
//
// A resource scope covers those of its own context whose type is its own (or any, if its type is "*"),
// whose permissions are among its own, and whose query is its own (or any, if it has none). The v1
// permissions count as read = rs, write = cud and * = cruds. A launch scope covers itself and itself with
// a query. Every other scope, and one that is malformed, covers itself only.
func Covers(a, b Scope) bool {
	switch {
	case a.text == b.text:
		return true
	case a.Kind != b.Kind:
		return false
	case a.Kind == Launch:
		head, _, granular := strings.Cut(b.text, "?")
		return granular && a.text == head
	case a.Kind != Resource:
		return false
	}
	return a.Context == b.Context && (a.Type == "*" || a.Type == b.Type) &&
		(!a.granular || b.granular && a.Query == b.Query) &&
		strings.Trim(b.letters(), a.letters()) == "" &&
		a.WellFormed() && b.WellFormed() // last, because it costs most
}

// wellFormed is a resource scope as SMART writes it. The query has no comma, at which some servers split a
// list of scopes.
var wellFormed = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:patient|user|system)/(?:\*|[A-Za-z]+)\.(?:read|write|\*|c?r?u?d?s?)(?:\?[!#-+\--\[\]-~]*)?$`)
})

// WellFormed reports whether a scope is no resource scope, or one whose type is a name or *, and whose
// permissions are those of SMART v1, or those of v2 in their order.
func (s Scope) WellFormed() bool {
	return s.Kind != Resource || s.Version() != NoVersion && wellFormed().MatchString(s.text)
}

// letters are the v2 letters of a scope's permissions.
func (s Scope) letters() string {
	switch s.Permissions {
	case "read":
		return "rs"
	case "write":
		return "cud"
	case "*":
		return "cruds"
	}
	return s.Permissions
}
