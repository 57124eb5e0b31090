package httpx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fhirlink/shared/httpx"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// target has a member of every kind that our requests use.
type target struct {
	Text     string                  `json:"text"`
	Flag     bool                    `json:"flag"`
	Pointer  *string                 `json:"pointer"`
	Nullable intake.Nullable[string] `json:"nullable"`
	Secret   secret.Value            `json:"clientSecret"`
	List     []string                `json:"list"`
	Picky    picky                   `json:"picky"`
	Ignored  string                  `json:"-"`
	Untagged string
}

// picky refuses every value with its own text.
type picky struct{}

func (*picky) UnmarshalJSON([]byte) error { return problem.New(problem.MalformedBody, "own words") }

func request(body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestDecodeJSON(t *testing.T) {
	var got target
	err := httpx.DecodeJSON(request(` {"text":"a\u00e9\ud83d\ude00","flag":true,"pointer":"p","nullable":null,"clientSecret":"s3","list":["x"]} `), &got)
	if err != nil {
		t.Fatal(err)
	}
	p := "p"
	want := target{Text: "aé😀", Flag: true, Pointer: &p, Secret: secret.New("s3"), List: []string{"x"}}
	want.Nullable.Present = true
	if got.Secret.Reveal() != "s3" {
		t.Error("the secret was not read")
	}
	got.Secret = want.Secret
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeJSONLeavesAbsentAndNullAlone(t *testing.T) {
	got := target{Text: "before"}
	if err := httpx.DecodeJSON(request(`{"text":null,"pointer":null}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != "before" || got.Pointer != nil || got.Nullable.Present {
		t.Errorf("%+v", got)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	const malformed = problem.MalformedBody
	tests := []struct {
		name, body string
		code       problem.Code
		says       string // part of the detail
	}{
		{"empty", "", malformed, "Content-Length"},
		{"space", " \r\n\t ", malformed, "nothing but white space"},
		{"byte order mark", "\ufeff{}", malformed, "byte order mark"},
		{"array", `[]`, malformed, "must be a JSON object"},
		{"null", `null`, malformed, "must be a JSON object"},
		{"string", `"canary"`, malformed, "must be a JSON object"},
		{"invalid UTF-8", "{\"text\":\"\xff\"}", malformed, "UTF-8"},
		{"UTF-16", "\xff\xfe{\x00}\x00", malformed, "UTF-8"},
		{"lone high surrogate", `{"text":"\ud83d"}`, malformed, "half of a surrogate pair"},
		{"lone low surrogate", `{"text":"\uDE00x"}`, malformed, "surrogate"},
		{"two high surrogates", `{"text":"\ud83d\ud83d"}`, malformed, "surrogate"},
		{"unknown", `{"canary":1}`, malformed, "There is no such field"},
		{"unknown lists the known", `{"x":1}`, malformed, "clientSecret, flag, list, nullable, picky, pointer, text"},
		{"ignored", `{"-":1}`, malformed, "There is no such field"},
		{"untagged", `{"Untagged":"x"}`, malformed, "There is no such field"},
		{"other case", `{"Text":"x"}`, malformed, "written 'text'"},
		{"Kelvin sign", "{\"\u212a\":1,\"k\":1}", malformed, "twice"},
		{"duplicate", `{"text":"a","text":"b"}`, malformed, "twice"},
		{"duplicate by escape", `{"text":"a","te\u0078t":"b"}`, malformed, "twice"},
		{"case variant", `{"text":"a","TEXT":"b"}`, malformed, "twice"},
		{"duplicate below", `{"list":[{"a":1,"a":2}]}`, malformed, "twice"},
		{"number for text", `{"text":12345}`, malformed, "Send a string"},
		{"text for flag", `{"flag":"true"}`, malformed, "Send true or false"},
		{"number for pointer", `{"pointer":1}`, malformed, "Send a string"},
		{"number for nullable", `{"nullable":1}`, malformed, "'nullable'"},
		{"object for secret", `{"clientSecret":{"value":"canary"}}`, malformed, "Send a string"},
		{"number for secret", `{"clientSecret":12345}`, malformed, "Send a string"},
		{"object for list", `{"list":{}}`, malformed, "Send an array"},
		{"own error", `{"picky":"canary"}`, malformed, "own words"},
		{"17 levels", `{"list":` + deep(16) + `}`, malformed, "nested deeper than 16 levels at line 1, column 24"},
		{"thousands of levels", `{"list":` + deep(20_000) + `}`, malformed, "nested deeper than 16 levels"},
		{"30,000 arrays", deep(30_000), malformed, "nested deeper than 16 levels"},
		{"30,000 unclosed arrays", strings.Repeat("[", 30_000), malformed, "nested deeper than 16 levels"},
		{"10,000 unclosed objects", strings.Repeat(`{"a":`, 10_000), malformed, "nested deeper than 16 levels"},
		{"brackets in a text", `{"text":"` + strings.Repeat(`[\"`, 20) + `",}`, malformed, "comma"},
		{"huge number", `{"text":1e999999}`, malformed, "Send a string"},
		{"too large", `{"text":"` + strings.Repeat("a", httpx.MaxBody) + `"}`, problem.BodyTooLarge, "64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var into target
			err := httpx.DecodeJSON(request(tt.body), &into)
			var told *problem.Error
			if !errors.As(err, &told) {
				t.Fatalf("err = %v", err)
			}
			if told.Code != tt.code || !strings.Contains(told.Detail, tt.says) {
				t.Errorf("%s: %s; want %s: …%s…", told.Code, told.Detail, tt.code, tt.says)
			}
			if !isPlain(told.Detail) {
				t.Errorf("not for RFC 6749: %s", told.Detail)
			}
			if strings.Contains(told.Detail, "12345") || tt.name != "unknown" && strings.Contains(told.Detail, "canary") {
				t.Errorf("the value comes back: %s", told.Detail)
			}
		})
	}
}

// isPlain reports whether error_description may hold the text unchanged (RFC 6749 §5.2): the
// token endpoint reports mistakes in a body with the same text as other endpoints.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// The text says what is wrong, where, and what to do.
func TestDecodeJSONPointsAtTheMistake(t *testing.T) {
	const comma, value, name = "comma", "value", "name"
	tests := []struct{ body, where, says, fix string }{
		{`{"text":"a"`, "line 1, column 12", "the object that begins at line 1, column 1 is not closed", "Add }"},
		{"{\n  \"list\": [1, 2", "line 2, column 16", "the array that begins at line 2, column 11 is not closed", "Add ]"},
		{`{"text":"été`, "line 1, column 13", "the text that begins at line 1, column 9 is not closed", "Add a double quote"},
		{`{"text":"a\"}`, "line 1, column 14", "the text that begins at line 1, column 9 is not closed", "double quote"},
		{`{"text":tru`, "line 1, column 11", value, "true"},
		{`{"text":"a",}`, "line 1, column 13", "nothing stands after the comma", "Take the comma out"},
		{"{\"list\":[1,\n]}", "line 2, column 1", "nothing stands after the comma", "Take the comma out"},
		{`{"list":[,1]}`, "line 1, column 10", value, "Write"},
		{`{"text":}`, "line 1, column 9", value, "Write"},
		{`{"text":'a'}`, "line 1, column 9", value, "double quotes"},
		{`{"text":None}`, "line 1, column 9", value, "null"},
		{`{"text":nil}`, "line 1, column 10", value, "null"},
		{`{"flag":01}`, "line 1, column 10", comma, ","},
		{`{"flag":-}`, "line 1, column 10", "number", "Write"},
		{`{"flag":1.}`, "line 1, column 11", "number", "Write"},
		{`{"flag":1e}`, "line 1, column 11", "number", "Write"},
		{`{text:"a"}`, "line 1, column 2", name, "double quotes"},
		{`{"text":"a",'flag':1}`, "line 1, column 13", name, "double quotes"},
		{"{\n// ours\n}", "line 2, column 1", "no comments", "Take"},
		{`{"text" "a"}`, "line 1, column 9", "colon", "Write"},
		{`{"text","a"}`, "line 1, column 8", "colon", "Write"},
		{`{"text":"a" "flag":true}`, "line 1, column 13", comma, "Separate"},
		{`{"list":[1 2]}`, "line 1, column 12", comma, "Separate"},
		{`{"text":"a"}{}`, "line 1, column 13", "something follows the object", "Take it out"},
		{`{"text":"a"} x`, "line 1, column 14", "something follows the object", "Take it out"},
		{`{"text":"a"}}`, "line 1, column 13", "something follows the object", "Take it out"},
		{"{\"text\":\"a\nb\"}", "line 1, column 11", "control character", "escape"},
		{"{\"text\":\"\x00\"}", "line 1, column 10", "control character", "escape"},
		{`{"text":"C:\dir"}`, "line 1, column 13", "backslash", "two"},
		{`{"text":"\u12x4"}`, "line 1, column 14", "backslash", "two"},
		{`{"text":"é\ud800"}`, "line 1, column 11", "half of a surrogate pair", "in UTF-8"},
		{"{\"text\":\n\"é\xe9\"}", "line 2, column 3", "not UTF-8", "in UTF-8"},
		{`"text":"a"}`, "line 1, column 1", "does not begin with {", "{...}"},
		{`slug=a&b=c`, "line 1, column 1", "does not begin with {", "{...}"},
		{"\n <xml/>", "line 2, column 2", "does not begin with {", "{...}"},
		{`[]`, "line 1, column 1", "does not begin with {", "{...}"},
	}
	for _, tt := range tests {
		err := httpx.DecodeJSON(request(tt.body), &target{})
		var told *problem.Error
		if !errors.As(err, &told) || told.Code != problem.MalformedBody {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		for _, want := range []string{tt.where, tt.says, tt.fix} {
			if !strings.Contains(told.Detail, want) {
				t.Errorf("%s: %s; want …%s…", tt.body, told.Detail, want)
			}
		}
		if !isPlain(told.Detail) {
			t.Errorf("%s: not for RFC 6749: %s", tt.body, told.Detail)
		}
	}
}

func TestDecodeJSONLeavesTheCallersOwnNamesAlone(t *testing.T) {
	var into struct {
		Aliases map[string]string `json:"aliases"`
	}
	if err := httpx.DecodeJSON(request(`{"aliases":{"a.read":"1","A.read":"2"}}`), &into); err != nil || len(into.Aliases) != 2 {
		t.Errorf("%v, %v", into.Aliases, err)
	}
}

func TestDecodeJSONAllows16Levels(t *testing.T) {
	var into struct {
		Any any `json:"any"`
	}
	if err := httpx.DecodeJSON(request(`{"any":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`}`), &into); err != nil {
		t.Error(err)
	}
}

func TestDecodeJSONNamesTheField(t *testing.T) {
	long := strings.Repeat("é", 100)
	for body, want := range map[string]problem.Field{
		`{"text":1}`:          {Field: "text", Code: "wrong_type", Message: "The value is of the type number.", Fix: "Send a string."},
		`{"Flag":true}`:       {Field: "Flag", Code: "unknown_field", Message: "The name is written 'flag': upper and lower case count.", Fix: "Write 'flag'."},
		`{"flag":1,"flag":2}`: {Field: "flag", Code: "duplicate_field", Message: "The field stands twice in the body.", Fix: "Send it once."},
		`{"` + long + `":1,"` + long + `":2}`: {
			Field: strings.Repeat("é", 20) + "…", Code: "duplicate_field", Message: "The field stands twice in the body.", Fix: "Send it once.",
		},
	} {
		var told *problem.Error
		if err := httpx.DecodeJSON(request(body), &target{}); !errors.As(err, &told) || len(told.Fields) != 1 || told.Fields[0] != want {
			t.Errorf("%s: %+v, want %+v", body, err, want)
		}
	}
}

// TestDecodeJSONInside: what a struct inside a struct has no member for is refused, and its members are named.
func TestDecodeJSONInside(t *testing.T) {
	type within struct {
		Name string          `json:"name"`
		Raw  json.RawMessage `json:"raw"`
		At   time.Time       `json:"at"`
	}
	for body, want := range map[string]string{
		`{"value":{"name":"a"}, "pointer": {"name":"b","raw":{"any":[1]},"at":"2026-11-29T12:00:00Z"}}`: "",
		`{"value":null,"pointer":null}`:        "",
		`{"value":{"name":null},"pointer":{}}`: "",
		`{"value":{"nmae":"a"}}`:               "value.nmae unknown_field",
		`{"pointer":{"Name":"a"}}`:             "pointer.Name unknown_field",
		`{"pointer":{"name":{}}}`:              "pointer.name wrong_type",
		`{"pointer":{"at":{}}}`:                "pointer.at wrong_type",
		`{"pointer":"a"}`:                      "pointer wrong_type",
		`{"value":[{"name":"a"}]}`:             "value wrong_type",
		`{"pointer":{"name":"a","name":"b"}}`:  "name duplicate_field",
		`{"pointer":{"name":"a","NAME":"b"}}`:  "pointer.NAME unknown_field",
	} {
		var into struct {
			Value   within  `json:"value"`
			Pointer *within `json:"pointer"`
		}
		got := ""
		var told *problem.Error
		if err := httpx.DecodeJSON(request(body), &into); errors.As(err, &told) && len(told.Fields) == 1 {
			got = told.Fields[0].Field + " " + told.Fields[0].Code
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestDecodeJSONWantsJSON(t *testing.T) {
	tests := []struct {
		header http.Header
		ok     bool
	}{
		{http.Header{"Content-Type": {"application/json"}}, true},
		{http.Header{"Content-Type": {"Application/JSON; Charset=UTF-8"}}, true},
		{http.Header{"Content-Type": {`application/json;charset="utf-8"`}}, true},
		{http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, true},
		{http.Header{}, false},
		{http.Header{"Content-Type": {""}}, false},
		{http.Header{"Content-Type": {"text/plain"}}, false},
		{http.Header{"Content-Type": {"application/jsonp"}}, false},
		{http.Header{"Content-Type": {"application/problem+json"}}, false},
		{http.Header{"Content-Type": {"application/json; charset=utf-16"}}, false},
		{http.Header{"Content-Type": {"application/json; charset=iso-8859-1"}}, false},
		{http.Header{"Content-Type": {"application/json; ="}}, false},
		{http.Header{"Content-Type": {"application/json", "text/plain"}}, false},
		{http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, false},
	}
	for _, tt := range tests {
		r := request(`{}`)
		r.Header = tt.header
		err := httpx.DecodeJSON(r, &target{})
		if tt.ok && err != nil || !tt.ok && problem.CodeOf(err) != problem.UnsupportedMediaType {
			t.Errorf("%v: %v", tt.header, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("canary") }

func TestReadBodyFails(t *testing.T) {
	r := request("")
	r.Body, r.ContentLength = io.NopCloser(failing{}), -1
	_, err := httpx.ReadBody(r)
	if problem.CodeOf(err) != problem.MalformedBody || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

// A declared length is trusted at once. An undeclared one costs no more than the limit.
func TestHugeBodyCostsLittle(t *testing.T) {
	declared := request("")
	declared.ContentLength = 100 << 20
	declared.Body = io.NopCloser(failing{}) // not read
	if _, err := httpx.ReadBody(declared); problem.CodeOf(err) != problem.BodyTooLarge {
		t.Errorf("declared: %v", err)
	}

	chunked := request("")
	chunked.Body, chunked.ContentLength = io.NopCloser(io.LimitReader(endless{}, 100<<20)), -1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := httpx.ReadBody(chunked)
	runtime.ReadMemStats(&after)
	if problem.CodeOf(err) != problem.BodyTooLarge {
		t.Errorf("chunked: %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("a"), len(p))), nil }

func TestObject(t *testing.T) {
	o, err := httpx.ReadObject(request(`{"b":null,"a":"null"}`))
	if err != nil {
		t.Fatal(err)
	}
	if !o.Has("a") || o.Has("b") || o.Has("c") {
		t.Errorf("Has: a %t, b (null) %t, c (absent) %t", o.Has("a"), o.Has("b"), o.Has("c"))
	}
}

// An accepted body is a JSON object that encoding/json reads with the same result. A refusal has
// one of three codes.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"text":"a","flag":true,"nullable":null}`, `{"text":"\ud83d\ude00"}`, `{"text":"\\ud83d"}`, `{"text":"\ud83d\\"}`,
		`{"a":{"a":1,"a":2}}`, `{"text":1e400}`, "{\"\xff\":1}", `[[[[`, `{"clientSecret":"s"}`, "", `{"list":["\u0000"]}`, `{"text":"\uD`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var into struct {
			Text     string                  `json:"text"`
			Flag     bool                    `json:"flag"`
			Nullable intake.Nullable[string] `json:"nullable"`
			List     []string                `json:"list"`
		}
		err := httpx.DecodeJSON(request(string(body)), &into)
		if err != nil {
			switch problem.CodeOf(err) {
			case problem.MalformedBody, problem.BodyTooLarge:
			default:
				t.Fatalf("%v", err)
			}
			return
		}
		same := into
		same.Text, same.Flag, same.List = "", false, nil
		same.Nullable = intake.Nullable[string]{}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&same); err != nil || !reflect.DeepEqual(same, into) {
			t.Errorf("%q: encoding/json reads %+v, %v; we read %+v", body, same, err, into)
		}
		if !utf8.ValidString(into.Text) || strings.ContainsRune(into.Text, utf8.RuneError) && !bytes.Contains(body, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(body), []byte(`fffd`)) {
			t.Errorf("%q: text was changed to %q", body, into.Text)
		}
	})
}
