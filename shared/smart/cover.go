package smart

import "strings"

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
	case a.Kind != Resource || a.Version() == NoVersion || b.Version() == NoVersion || a.Type == "" || b.Type == "":
		return false
	}
	return a.Context == b.Context && (a.Type == "*" || a.Type == b.Type) &&
		(!a.granular || b.granular && a.Query == b.Query) &&
		strings.Trim(b.letters(), a.letters()) == ""
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
