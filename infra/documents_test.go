package infra_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// longestReadme is how many lines the README may have. Anything longer belongs on a page that
// the README links.
const longestReadme = 200

func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(contents(t, root+"/README.md"), "\n"); lines > longestReadme {
		t.Errorf("README.md has %d lines, at most %d are allowed: move something to the page that it belongs to", lines, longestReadme)
	}
}

// TestLinks follows every link between documents, and every link to a heading.
func TestLinks(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, target := range links(text) {
			if why := broken(all, name, target); why != "" {
				t.Errorf("%s links %s: %s", name, target, why)
			}
		}
	}
}

// TestEveryDocumentIsFound: a reader who starts at the README can reach every document.
func TestEveryDocumentIsFound(t *testing.T) {
	all := documents(t)
	found := map[string]bool{"README.md": true}
	for next := []string{"README.md"}; len(next) > 0; {
		name := next[0]
		next = next[1:]
		for _, target := range links(all[name]) {
			file, _, _ := strings.Cut(target, "#")
			file = path.Join(path.Dir(name), file)
			if _, document := all[file]; document && !found[file] {
				found[file] = true
				next = append(next, file)
			}
		}
	}
	for name := range all {
		if !found[name] {
			t.Errorf("no way leads from README.md to %s", name)
		}
	}
}

// documents returns all Markdown files by their path from the root, without their code blocks.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name != "." && strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"node_modules", "testdata"}, entry.Name())):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			all[name] = withoutFences(contents(t, root+"/"+name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %q were found", slices.Sorted(maps.Keys(all)))
	}
	return all
}

func withoutFences(text string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
}

var (
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
)

// links returns the targets of a document's links, except those to other sites.
func links(text string) (targets []string) {
	for _, m := range inlineLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, "code"), -1) {
		if !strings.Contains(m[1], "://") {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// broken returns why a link is broken, or "".
func broken(all map[string]string, from, target string) (why string) {
	file, heading, toHeading := strings.Cut(target, "#")
	name := from
	if file != "" {
		name = path.Join(path.Dir(from), file)
	}
	if strings.HasPrefix(name, "..") || strings.HasPrefix(file, "/") {
		return "it leads out of the repository"
	}
	if _, err := os.Stat(root + "/" + name); err != nil {
		return "there is no such file"
	}
	if !toHeading {
		return ""
	}
	text, document := all[name]
	if !document {
		return "only documents have headings"
	}
	if !slices.Contains(anchors(text), heading) {
		return "there is no such heading"
	}
	return ""
}

// anchors returns the anchors that GitHub makes of a document's headings.
func anchors(text string) (all []string) {
	times := map[string]int{}
	for line := range strings.Lines(text) {
		marks, title, isHeading := strings.Cut(strings.TrimSpace(line), " ")
		if !isHeading || strings.Trim(marks, "#") != "" || marks == "" || len(marks) > 6 {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		times[anchor]++
		if n := times[anchor]; n > 1 {
			anchor += "-" + strconv.Itoa(n-1)
		}
		all = append(all, anchor)
	}
	return all
}

// The checks of links find planted mistakes.
func TestBrokenLinks(t *testing.T) {
	all := map[string]string{"README.md": "# Title\n## 4. Let's `go`, twice\n## 4. Let's `go`, twice\n"}
	for target, good := range map[string]bool{
		"README.md": true, "README.md#title": true, "#4-lets-go-twice": true, "#4-lets-go-twice-1": true, "functions": true,
		"#4-lets-go-twice-2": false, "README.md#other": false, "absent.md": false, "../elsewhere": false, "/README.md": false, "functions#title": false,
	} {
		if why := broken(all, "README.md", target); (why == "") != good {
			t.Errorf("%s: %q", target, why)
		}
	}
	text := withoutFences("[a](b.md#c) `[x](y)` [site](https://example.org)\n```sh\n[z](z)\n```\n[`d`](e)\n")
	if got := links(text); !slices.Equal(got, []string{"b.md#c", "e"}) {
		t.Errorf("the links are %q", got)
	}
}

// TestSettingsTable checks settings.md against the settings in the code: each setting has a row,
// and each row is about a setting.
func TestSettingsTable(t *testing.T) {
	want := slices.Concat(programSettings(t), scheduleSettings(t))
	for _, value := range constants(t, "functions/cmd/lambda/main.go") {
		if strings.HasPrefix(value, "AZURE_") {
			want = append(want, value)
		}
	}
	var got []string
	for line := range strings.Lines(contents(t, "settings.md")) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				got = append(got, m[1])
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("settings.md has rows for\n%q, the programs read\n%q", got, want)
	}
}
