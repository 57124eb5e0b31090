package scripttest_test

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"fhirlink/shared/httpx/scripttest"
)

func TestParse(t *testing.T) {
	const text = `# what it is about

-- [one] [!two-three] a name --
# a comment
POST /api/x?a=1
As: manager
Content-Type: application/json

{"a":
# no comment

  1}

=> 201
# a comment
header ETag ~ ^"

[one] json a == 1
-- another --
GET /
=> 404
`
	got, err := scripttest.Parse("f.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	want := scripttest.Script{Name: "f.txt", Exchanges: []scripttest.Exchange{
		{
			Name: "a name", Line: 3, Conditions: []string{"one", "!two-three"}, Method: "POST", Target: "/api/x?a=1", As: "manager", Times: 1,
			Header: []scripttest.Field{{Name: "Content-Type", Value: "application/json"}},
			Body:   "{\"a\":\n# no comment\n\n  1}", Status: 201,
			Checks: []scripttest.Check{{Line: 16, Text: `header ETag ~ ^"`}, {Line: 18, Conditions: []string{"one"}, Text: "json a == 1"}},
		},
		{Name: "another", Line: 19, Method: "GET", Target: "/", Times: 1, Status: 404},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseNamesTheLine(t *testing.T) {
	tests := []struct{ text, want string }{
		{"GET /", "f.txt:1: "},
		{"-- a --\nget /\n=> 200", "f.txt:2: "},
		{"-- a --\nGET api\n=> 200", "f.txt:2: "},
		{"-- a --\nGET https://api.example/\n=> 200", "f.txt:2: "},
		{"-- a --\n-- b --", "f.txt:2: "},
		{"-- a --\nGET /\nno header", "f.txt:3: "},
		{"-- a --\nGET /\nTimes: many\n=> 200", "f.txt:3: "},
		{"-- a --\nGET /\nTimes: 0\n=> 200", "f.txt:3: "},
		{"-- a --\nGET /\n\nbody", "no line like => 200"},
		{"-- a --\nGET /", "no line like => 200"},
		{"-- a --", "no line like => 200"},
		{"-- a --\nGET /\n=> 200\nstatus == 1", "f.txt:4: "},
		{"-- a --\nGET /\n=> 200\nheader ETag is x", "f.txt:4: "},
		{"-- a --\nGET /\n=> 200\njson a =~ x", "none of"},
		{"-- a --\nGET /\n=> 200\nkeep a = b", "f.txt:4: "},
		{"-- a --\nGET /\n=> 200\n-- a --\nGET /\n=> 200", "two exchanges"},
	}
	for _, tt := range tests {
		if _, err := scripttest.Parse("f.txt", tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestReadFiles(t *testing.T) {
	files := fstest.MapFS{
		"scripts/b.txt": {Data: []byte("-- b --\nGET /\n=> 200\n")},
		"scripts/a.txt": {Data: []byte("-- a --\nGET /\n=> 200\n")},
		"scripts/c.md":  {Data: []byte("no script")},
	}
	scripts, err := scripttest.ReadFiles(files, "scripts/*.txt")
	if err != nil || len(scripts) != 2 || scripts[0].Name != "a.txt" || scripts[1].Name != "b.txt" {
		t.Errorf("%+v, %v", scripts, err)
	}
	if _, err := scripttest.ReadFiles(files, "none/*.txt"); err == nil {
		t.Error("no script is no error")
	}
	files["scripts/d.txt"] = &fstest.MapFile{Data: []byte("oops")}
	if _, err := scripttest.ReadFiles(files, "scripts/*.txt"); err == nil || !strings.Contains(err.Error(), "d.txt:1") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-- [a] b --\nGET /x\nA: b\n\nbody\n=> 200\n[!c] json a[x=y].b == 1\n")
	f.Add("-- [a]  --\nA /\n=> 200")
	f.Add("# c\n-- a --\nGET /\n=> 200\nbody empty\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scripttest.Parse("f", text)
		if err != nil {
			return
		}
		for _, e := range s.Exchanges {
			if e.Name == "" || e.Method == "" || !strings.HasPrefix(e.Target, "/") && !strings.HasPrefix(e.Target, "{{") || e.Status < 0 || e.Status > 999 || e.Line < 1 {
				t.Errorf("%+v of %q", e, text)
			}
		}
	})
}
