package view

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

var (
	templateAction = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	templateText   = regexp.MustCompile(`\bt ("(?:[^"\\]|\\.)*")`)
	templateCount  = regexp.MustCompile(`\bcount [^"]*("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")`)
	placeholder    = regexp.MustCompile(`\{\w+\}`)
	ariaStates     = regexp.MustCompile(`aria-(describedby|invalid)="[^"]*"`) // a template of their own, which is no element
	letters        = regexp.MustCompile(`\pL{2,}`)
)

// eachTemplate calls do with the text of each template.
func eachTemplate(t *testing.T, do func(name, text string)) {
	t.Helper()
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d templates, %v", len(names), err)
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		do(name, string(data))
	}
}

// TestTemplatesHoldNoRawText: every text that people read goes through t or count, attributes too. The
// exceptions are units and commands, which no language changes.
func TestTemplatesHoldNoRawText(t *testing.T) {
	exempt := []string{"ms"}
	raw := func(text string) (found []string) {
		for _, word := range letters.FindAllString(text, -1) {
			if !slices.Contains(exempt, word) {
				found = append(found, word)
			}
		}
		return found
	}
	check := func(text string) (found []string) {
		z := html.NewTokenizer(strings.NewReader(ariaStates.ReplaceAllString(templateAction.ReplaceAllString(text, ""), "")))
		code := 0
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				return found
			}
			token := z.Token()
			if token.Data == "code" {
				code += map[html.TokenType]int{html.StartTagToken: 1, html.EndTagToken: -1}[kind]
			}
			if kind == html.TextToken && code == 0 {
				found = append(found, raw(token.Data)...)
			}
			for _, a := range token.Attr {
				if slices.Contains([]string{"aria-label", "title", "placeholder", "alt"}, a.Key) {
					found = append(found, raw(a.Val)...)
				}
			}
		}
	}
	eachTemplate(t, func(name, text string) {
		if found := check(text); found != nil {
			t.Errorf("%s: %q is in no catalogue", name, found)
		}
	})
	for _, bad := range []string{`<p>Raw {{t "text"}}</p>`, `<a aria-label="Raw">x</a>`, `<code>ok</code> Raw`, `{{if .A}}Raw{{end}}`} {
		if check(bad) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// Where texts stand that are given to Text by another name: the keys of fields and badges, and maps.
var (
	textKeys = []string{"Label", "Hint", "Optional", "Word", "Verdict", "Heading", "Text"}
	textMaps = []string{"headings", "actions", "sources"}
)

// texts finds what every catalogue must hold, and every other text that the program has, which a
// catalogue may hold.
func texts(t *testing.T) (must, may map[string]bool) {
	t.Helper()
	must, may = map[string]bool{}, map[string]bool{}
	add := func(to map[string]bool, quoted string) {
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if letters.MatchString(text) {
			to[text] = true
		}
	}
	eachTemplate(t, func(_, text string) {
		for _, action := range templateAction.FindAllString(text, -1) {
			for _, found := range append(templateText.FindAllStringSubmatch(action, -1), templateCount.FindAllStringSubmatch(action, -1)...) {
				for _, quoted := range found[1:] {
					add(must, quoted)
				}
			}
		}
	})
	literal := func(to map[string]bool, e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			add(to, l.Value)
		}
	}
	sources, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(sources, here...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				literal(may, n)
			case *ast.CallExpr:
				called, ok := n.Fun.(*ast.SelectorExpr)
				switch {
				case ok && called.Sel.Name == "Text" && len(n.Args) > 0:
					literal(must, n.Args[0])
				case ok && called.Sel.Name == "Count" && len(n.Args) == 3:
					literal(must, n.Args[1])
					literal(must, n.Args[2])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && slices.Contains(textKeys, key.Name) {
					literal(must, n.Value)
				}
			case *ast.ValueSpec:
				if slices.Contains(textMaps, n.Names[0].Name) {
					for _, value := range n.Values {
						for _, element := range value.(*ast.CompositeLit).Elts {
							literal(must, element.(*ast.KeyValueExpr).Value)
						}
					}
				}
			}
			return true
		})
	}
	return must, may
}

// gaps compares a catalogue with the texts.
func gaps(must, may map[string]bool, catalogue map[string]string) (found []string) {
	for text := range must {
		if catalogue[text] == "" {
			found = append(found, "missing: "+text)
		}
	}
	for text, translated := range catalogue {
		if !must[text] && !may[text] {
			found = append(found, "unused: "+text)
		}
		a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(translated, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(slices.Compact(a), slices.Compact(b)) {
			found = append(found, "other placeholders: "+text)
		}
	}
	return found
}

// TestCatalogues: each language has every text of the templates and of the program, and no other.
func TestCatalogues(t *testing.T) {
	must, may := texts(t)
	if len(must) < 150 {
		t.Errorf("only %d texts were found", len(must))
	}
	for _, text := range []string{
		"FHIR servers", "Customized URL", "{n} servers are linked.", "Page not found", "secret replaced", "Nothing needs you today.", "{n} days left", "optional, recommended", "Waiting for access",
	} {
		if !must[text] && !may[text] {
			t.Errorf("%q was not found", text)
		}
	}
	whole := map[string]string{}
	for text := range must {
		whole[text] = text
	}
	if found := gaps(must, may, whole); found != nil {
		t.Errorf("a whole catalogue has gaps: %q", found)
	}
	delete(whole, "About")
	whole["nobody asks for this"], whole["{n} days left"] = "x", "some days left"
	if found := gaps(must, may, whole); len(found) != 3 {
		t.Errorf("found %q", found)
	}
	entries, err := filepath.Glob("words/*.json")
	if err != nil {
		t.Fatal(err)
	}
	have := []string{Languages[0]}
	for _, name := range entries {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		catalogue := map[string]string{}
		if err := json.Unmarshal(data, &catalogue); err != nil {
			t.Fatal(err)
		}
		for _, gap := range gaps(must, may, catalogue) {
			t.Errorf("%s: %s", name, gap)
		}
		have = append(have, strings.TrimSuffix(filepath.Base(name), ".json"))
	}
	if !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(Languages))) {
		t.Errorf("catalogues of %q, languages %q", have, Languages)
	}
}
