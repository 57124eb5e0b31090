package functions_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions"
)

// The API guide shows every route and every code, and no code that does not exist.
func TestGuide(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(data)
	for _, route := range (functions.Deps{}).Routes() {
		if !regexp.MustCompile("[` ]" + regexp.QuoteMeta(route.Path) + "`").MatchString(guide) {
			t.Errorf("README.md does not show %s", route.Path)
		}
	}
	_, rest, _ := strings.Cut(guide, "\n## Errors\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var shown []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z]+_?[a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
			if m[1] != "code" {
				shown = append(shown, m[1])
			}
		}
	}
	var want []string
	for _, code := range loaded(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		want = append(want, code.(string))
	}
	slices.Sort(shown)
	slices.Sort(want)
	if !slices.Equal(shown, want) {
		t.Errorf("README.md's table of errors has\n%q, openapi.yaml has\n%q", shown, want)
	}
}
