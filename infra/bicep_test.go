package infra_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// template is the part of a Bicep file that these tests need. The reader below understands our
// own files and no more; infra/lint/run checks the whole grammar.
type template struct {
	file      string // path from this folder
	params    []declaration
	vars      map[string]value
	resources []declaration
	modules   []declaration
	outputs   []declaration
}

// declaration is one statement: a parameter, resource, module or output.
type declaration struct {
	kind, name  string
	of          string // the type of a parameter or output, a resource's type@version, a module's file
	existing    bool
	conditional bool
	body        value // of a resource or module; the default of a parameter; the value of an output
	described   bool
	text        string
}

// value is an object, an array, or the text of any other expression.
type value struct {
	object map[string]value
	keys   []string // the keys of object, in order
	array  []value
	text   string
}

func (v value) at(keys ...string) value {
	for _, k := range keys {
		v = v.object[k]
	}
	return v
}

// literal returns the content of a string without interpolation.
func (v value) literal() string { return strings.Trim(v.text, "'") }

func templates(t *testing.T) []template {
	t.Helper()
	files, err := filepath.Glob("modules/*.bicep")
	if err != nil {
		t.Fatal(err)
	}
	all := []template{read(t, "main.bicep")}
	for _, file := range files {
		all = append(all, read(t, filepath.ToSlash(file)))
	}
	return all
}

func read(t *testing.T, file string) template {
	t.Helper()
	text := contents(t, file)
	out := template{file: file, vars: map[string]value{}}
	described := false
	for _, s := range statements(text) {
		if strings.HasPrefix(s, "@") {
			described = described || regexp.MustCompile(`^@description\('..+'\)$`).MatchString(s)
			continue
		}
		d, err := declare(s)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		d.described, described = described, false
		switch d.kind {
		case "param":
			out.params = append(out.params, d)
		case "var":
			out.vars[d.name] = d.body
		case "resource":
			out.resources = append(out.resources, d)
		case "module":
			out.modules = append(out.modules, d)
		case "output":
			out.outputs = append(out.outputs, d)
		}
	}
	return out
}

func contents(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var heads = map[string]*regexp.Regexp{
	"param":       regexp.MustCompile(`^param (\w+) (\w+(?:\[\])?)(?: = ([\s\S]+))?$`),
	"type":        regexp.MustCompile(`^type (\w+)() = ([\s\S]+)$`),
	"assignment":  regexp.MustCompile(`^param (\w+)() = ([\s\S]+)$`), // in parameter files
	"var":         regexp.MustCompile(`^var (\w+)() = ([\s\S]+)$`),
	"resource":    regexp.MustCompile(`^resource (\w+) '([^']+)'(?: existing)? = (?:if \([^\n]+\) )?(\{[\s\S]+\})$`),
	"module":      regexp.MustCompile(`^module (\w+) '([^']+)' = (?:if \([^\n]+\) )?(\{[\s\S]+\}|\[\s*for [\s\S]+\])$`),
	"output":      regexp.MustCompile(`^output (\w+) (\w+) = ([\s\S]+)$`),
	"targetScope": regexp.MustCompile(`^(targetScope)() = ([\s\S]+)$`),
	"using":       regexp.MustCompile(`^(using)() ([\s\S]+)$`),
}

func declare(statement string) (declaration, error) {
	kind, _, _ := strings.Cut(statement, " ")
	for _, candidate := range []string{kind, "assignment"} {
		head := heads[candidate]
		if head == nil {
			continue
		}
		if m := head.FindStringSubmatch(statement); m != nil {
			first, _, _ := strings.Cut(statement, "\n")
			return declaration{
				kind: kind, name: m[1], of: m[2], body: parse(loopBody(m[3])), text: statement,
				existing:    strings.Contains(first, "' existing = "),
				conditional: strings.Contains(first, " = if ("),
			}, nil
		}
	}
	return declaration{}, fmt.Errorf("cannot read %q", statement)
}

// loopBody returns the object in `[for x in y: {…}]`, and any other text unchanged.
func loopBody(text string) string {
	if m := regexp.MustCompile(`^\[\s*for [^:]+:\s*(\{[\s\S]+\})\s*\]$`).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return text
}

// parse reads a value that has no comments.
func parse(text string) value {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return value{}
	case text[0] == '{' && closing(text) == len(text)-1:
		v := value{object: map[string]value{}, text: text}
		for _, item := range statements(text[1 : len(text)-1]) {
			k, rest, _ := strings.Cut(item, ":")
			k = strings.Trim(k, "'")
			v.keys = append(v.keys, k)
			v.object[k] = parse(rest)
		}
		return v
	case text[0] == '[' && closing(text) == len(text)-1:
		v := value{text: text}
		for _, item := range statements(text[1 : len(text)-1]) {
			v.array = append(v.array, parse(item))
		}
		return v
	}
	return value{text: text}
}

// closing returns the index of the bracket that closes the one at the start of text.
func closing(text string) int {
	end := -1
	scan(text, func(i, depth int, code bool) {
		if end < 0 && code && depth == 0 && i > 0 {
			end = i
		}
	})
	return end
}

// statements splits a text at the line ends outside brackets and strings, and drops comments. A
// line that starts with ? or : continues the line before.
func statements(text string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		s := strings.TrimSpace(b.String())
		b.Reset()
		if s == "" {
			return
		}
		if n := len(out); n > 0 && (s[0] == '?' || s[0] == ':') {
			out[n-1] += " " + s
			return
		}
		out = append(out, s)
	}
	scan(text, func(i, depth int, code bool) {
		if code && depth == 0 && text[i] == '\n' {
			flush()
			return
		}
		b.WriteByte(text[i])
	})
	flush()
	return out
}

// scan visits every byte outside comments and directives, with the depth of brackets after it, and with whether
// it is code or part of a string. Interpolations count as part of their string.
func scan(text string, visit func(i, depth int, code bool)) {
	depth := 0
	for i := 0; i < len(text); {
		rest := text[i:]
		n := 1
		switch {
		case strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "#disable-next-line "):
			i += len(firstLine(rest))
			continue
		case strings.HasPrefix(rest, "'''"):
			n = 3 + strings.Index(rest[3:], "'''") + 3
		case rest[0] == '\'':
			n = quoted(rest)
		}
		for k := range n {
			if n == 1 {
				depth += strings.Count("{[(", rest[:1]) - strings.Count("}])", rest[:1])
			}
			visit(i+k, depth, n == 1)
		}
		i += n
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// quoted returns the length of the string at the start of s.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		case '$':
			if strings.HasPrefix(s[i:], "${") {
				i += closing(s[i+1:]) + 1
			}
		}
	}
	return len(s)
}

// find returns the declaration with that name.
func find(in []declaration, name string) (declaration, bool) {
	i := slices.IndexFunc(in, func(d declaration) bool { return d.name == name })
	if i < 0 {
		return declaration{}, false
	}
	return in[i], true
}

// resource returns the first resource of a type, whatever its version.
func resource(t *testing.T, tmpl template, resourceType string) declaration {
	t.Helper()
	for _, r := range tmpl.resources {
		if typeOf(r) == resourceType && !r.existing {
			return r
		}
	}
	t.Fatalf("%s has no %s", tmpl.file, resourceType)
	return declaration{}
}

func typeOf(r declaration) string {
	name, _, _ := strings.Cut(r.of, "@")
	return name
}

func TestReader(t *testing.T) {
	const text = `// a comment's quote
#disable-next-line no-rule // it's a directive
var a = 'it\'s // no comment {' // one
resource b 'C/d@1' = if (x) {
  name: 'n-${e ? 'f' : '}'}'
  list: [ // of two
    1
    'two'
  ]
  choice: g == 0
    ? []
    : [
        h
      ]
  query: '''
it's {
'''
}
`
	got := statements(text)
	if len(got) != 2 || got[0] != `var a = 'it\'s // no comment {'` {
		t.Fatalf("%q", got)
	}
	d, err := declare(got[1])
	if err != nil || d.name != "b" || d.of != "C/d@1" || !d.conditional || d.existing {
		t.Fatalf("%+v, %v", d, err)
	}
	if want := []string{"name", "list", "choice", "query"}; !slices.Equal(d.body.keys, want) {
		t.Errorf("keys %q", d.body.keys)
	}
	if v := d.body.at("list"); len(v.array) != 2 || v.array[1].literal() != "two" {
		t.Errorf("list %+v", v)
	}
	if v := d.body.at("name"); v.text != `'n-${e ? 'f' : '}'}'` {
		t.Errorf("name %s", v.text)
	}
	if v := d.body.at("choice").text; !strings.HasSuffix(strings.TrimSpace(v), "]") || !strings.HasPrefix(v, "g == 0") {
		t.Errorf("choice %q", v)
	}
}
