package view

import (
	"encoding/json"
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/tools/go/packages"
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

// texts finds every text of the pages: those of the templates, and every constant of the type English.
func texts(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	add := func(quoted string) {
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if letters.MatchString(text) {
			found[text] = true
		}
	}
	eachTemplate(t, func(_, text string) {
		for _, action := range templateAction.FindAllString(text, -1) {
			for _, match := range append(templateText.FindAllStringSubmatch(action, -1), templateCount.FindAllStringSubmatch(action, -1)...) {
				for _, quoted := range match[1:] {
					add(quoted)
				}
			}
		}
	})
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
	}, ".", "..")
	if err != nil || len(loaded) != 2 || packages.PrintErrors(loaded) != 0 {
		t.Fatalf("%d packages, %v", len(loaded), err)
	}
	for _, p := range loaded {
		for e, v := range p.TypesInfo.Types {
			if literal, ok := e.(*ast.BasicLit); ok && strings.HasSuffix(v.Type.String(), "/manage/view.English") {
				add(literal.Value)
			}
		}
	}
	return found
}

// gaps compares a catalogue with the texts.
func gaps(all map[string]bool, catalogue map[string]string) (found []string) {
	for text := range all {
		if catalogue[text] == "" {
			found = append(found, "missing: "+text)
		}
	}
	for text, translated := range catalogue {
		if !all[text] {
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
	all := texts(t)
	for _, text := range []string{
		"FHIR servers", "Customized URL", "{n} servers are linked.", "Page not found", "secret replaced", "Nothing needs you today.", "{n} days left", "optional, recommended",
		"Waiting for access", "Replace secret", "The changes are saved.", "Not linked yet: {check}", "Secret ends first", "Correlation ID", "Dec",
	} {
		if !all[text] {
			t.Errorf("%q was not found", text)
		}
	}
	whole := map[string]string{}
	for text := range all {
		whole[text] = text
	}
	if found := gaps(all, whole); found != nil {
		t.Errorf("a whole catalogue has gaps: %q", found)
	}
	delete(whole, "About")
	whole["nobody asks for this"], whole["{n} days left"] = "x", "some days left"
	if found := gaps(all, whole); len(found) != 3 {
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
		for _, gap := range gaps(all, catalogue) {
			t.Errorf("%s: %s", name, gap)
		}
		have = append(have, strings.TrimSuffix(filepath.Base(name), ".json"))
	}
	if !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(Languages))) {
		t.Errorf("catalogues of %q, languages %q", have, Languages)
	}
}
