package scripttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Mask hides what may differ between two equivalent answers.
type Mask struct {
	Headers  []string         // canonical names of headers whose values are hidden
	Keys     []string         // keys of JSON objects, at any depth, whose values are hidden unless null
	Patterns []*regexp.Regexp // matches in any string are hidden
}

const hidden = "•"

// connectionHeaders lists headers that belong to the connection, not to the answer.
var connectionHeaders = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Transfer-Encoding"}

// apply formats an answer as text: status, headers by name, body.
func (m Mask) apply(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", a.status, http.StatusText(a.status))
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if slices.Contains(connectionHeaders, name) {
			continue
		}
		value := hidden
		if !slices.Contains(m.Headers, name) {
			value = m.text(strings.Join(a.header[name], ", "))
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	if a.json != nil {
		return b.String() + "\n" + encode(m.value(a.json)) + "\n"
	}
	return b.String() + "\n" + m.lines(string(a.body))
}

// lines masks a text. Each line of a stream of JSON objects is masked as one.
func (m Mask) lines(body string) string {
	var b strings.Builder
	for line := range strings.Lines(body) {
		var object map[string]any
		if json.Unmarshal([]byte(line), &object) == nil {
			b.WriteString(encode(m.value(object)) + "\n")
		} else {
			b.WriteString(m.text(line))
		}
	}
	return b.String()
}

// value returns a masked copy of JSON.
func (m Mask) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			if value != nil && slices.Contains(m.Keys, name) {
				masked[name] = hidden
			} else {
				masked[name] = m.value(value)
			}
		}
		return masked
	case []any:
		masked := make([]any, len(v))
		for i, value := range v {
			masked[i] = m.value(value)
		}
		return masked
	case string:
		return m.text(v)
	}
	return v
}

func (m Mask) text(s string) string {
	for _, pattern := range m.Patterns {
		s = pattern.ReplaceAllString(s, hidden)
	}
	return s
}
