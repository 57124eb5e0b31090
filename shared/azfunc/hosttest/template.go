package hosttest

import (
	"fmt"
	"regexp"
	"strings"
)

// template is an ASP.NET route template (Microsoft Learn, "Routing in ASP.NET Core", Route
// templates): literals, {name}, {name?} at the end, {*name} as the last segment. Constraints,
// defaults and segments of mixed text are refused, so that no test relies on them.
type template []segment

type segment struct {
	literal  string // "" for a parameter
	optional bool
	rest     bool // matches the whole remainder, even if it is empty
}

var parameter = regexp.MustCompile(`^\{(\*{0,2})[A-Za-z_][A-Za-z0-9_]*(\??)\}$`)

func parseTemplate(text string) (template, error) {
	var t template
	for part := range strings.SplitSeq(strings.Trim(text, "/"), "/") {
		s := segment{literal: part}
		if strings.ContainsAny(part, "{}") {
			m := parameter.FindStringSubmatch(part)
			if m == nil {
				return nil, fmt.Errorf("route %q: this simulated host does not know segments like %q", text, part)
			}
			s = segment{optional: m[2] != "", rest: m[1] != ""}
		}
		if n := len(t); n > 0 && (t[n-1].rest || t[n-1].optional && !s.optional) {
			return nil, fmt.Errorf("route %q: nothing may follow a catch-all, nor anything but optional parameters an optional one", text)
		}
		if part == "" {
			return nil, fmt.Errorf("route %q has an empty segment", text)
		}
		t = append(t, s)
	}
	return t, nil
}

// match reports whether a path matches, as Kestrel hands it on. It ignores a trailing slash and the
// case of literals; %2F does not separate segments. No path with an empty segment matches.
func (t template) match(path string) bool {
	if strings.Contains(path, "//") {
		return false
	}
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	for i, s := range t {
		switch {
		case s.rest:
			return true
		case i >= len(parts):
			return s.optional // so are all that follow
		case s.literal == "" && parts[i] == "":
			return false
		case s.literal != "" && !strings.EqualFold(s.literal, parts[i]):
			return false
		}
	}
	return len(parts) <= len(t)
}
