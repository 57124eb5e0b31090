package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var conformanceRow = regexp.MustCompile("^\\| `([a-z0-9A-Z_-]+)` \\| ([^|]*) ?\\| (pass|part 3) \\|$")

// TestConformanceTable: every test that the table calls passed is restated in the scripts that it names,
// before an exchange, and in no others.
func TestConformanceTable(t *testing.T) {
	folder := filepath.Join(root, "functions", "testdata", "scripts")
	text, err := os.ReadFile(filepath.Join(folder, "smart.md"))
	if err != nil {
		t.Fatal(err)
	}
	restated := restatements(t, folder)
	passed, seen := 0, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		row := conformanceRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			if strings.HasPrefix(line, "| `") {
				t.Errorf("no row of the table: %s", line)
			}
			continue
		}
		id, state := row[1], row[3]
		scripts := strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ' ' })
		if seen[id] {
			t.Errorf("%s stands twice in the table", id)
		}
		seen[id] = true
		switch slices.Sort(scripts); {
		case state == "pass":
			passed++
			if len(scripts) == 0 || !slices.Equal(scripts, restated[id]) {
				t.Errorf("%s: the table names %q, and it is restated in %q", id, scripts, restated[id])
			}
		case len(scripts) > 0 || len(restated[id]) > 0:
			t.Errorf("%s is of %s: %q %q", id, state, scripts, restated[id])
		}
	}
	for id := range restated {
		if !seen[id] {
			t.Errorf("%s is restated in %q, and is not in the table", id, restated[id])
		}
	}
	if passed < 25 || len(seen) < 40 {
		t.Errorf("%d tests in the table, %d passed", len(seen), passed)
	}
}

// restatements are the scripts that restate each test.
func restatements(t *testing.T, folder string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "smart-*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	restated := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, name := strings.Split(string(text), "\n"), filepath.Base(file)
		for i, line := range lines {
			ids, ok := strings.CutPrefix(line, "# Restates: ")
			if !ok {
				continue
			}
			if !strings.HasPrefix(lines[i+1], "-- ") {
				t.Errorf("%s:%d: no exchange follows", name, i+1)
			}
			for id := range strings.FieldsSeq(ids) {
				if !slices.Contains(restated[id], name) {
					restated[id] = append(restated[id], name)
				}
			}
		}
	}
	return restated
}
