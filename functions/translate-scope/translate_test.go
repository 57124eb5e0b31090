package translatescope_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	translatescope "fhirlink/functions/translate-scope"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// reply is the body of a 200. The results of a refusal are in the error.
type reply struct {
	Direction, Dialect, Separator, From, FromSeparator, To, Scope string

	Results   []result
	Artefacts *smart.Artefacts
}

type result struct {
	Input, Decoded, Output, Kind string

	Error    *smart.Advice
	Entra    smart.Entra
	Warnings []smart.Advice
}

func get(h translatescope.Handler, query string) (*httptest.ResponseRecorder, error) {
	r := httptest.NewRequest(http.MethodGet, "/api/translate-scope", nil)
	r.URL.RawQuery = query
	w := httptest.NewRecorder()
	return w, h.Translate(w, r)
}

func post(h translatescope.Handler, body string) (*httptest.ResponseRecorder, error) {
	r := httptest.NewRequest(http.MethodPost, "/api/translate-scope", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	return w, h.Translate(w, r)
}

func read(t *testing.T, w *httptest.ResponseRecorder, err error) reply {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
	var a reply
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func ok(t *testing.T, body string) reply {
	t.Helper()
	w, err := post(translatescope.Handler{}, body)
	return read(t, w, err)
}

// TestExactAnswer checks the whole body of the contract's example, byte by byte where it is
// data.
func TestExactAnswer(t *testing.T) {
	w, err := post(translatescope.Handler{}, `{"scope":"patient/Observation.r?_id=Id-With-Dashes  openid openid"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	first, _ := got["results"].([]any)[0].(map[string]any)
	warnings, _ := first["warnings"].([]any)
	if len(warnings) != 1 || warnings[0].(map[string]any)["code"] != "character_not_allowed" {
		t.Errorf("warnings %v", warnings)
	}
	first["warnings"] = nil
	const want = `{"dialect":"firely","direction":"encode","registrable":false,` +
		`"results":[{"entra":{"length":42,"reasons":["character_not_allowed"],"registrable":false},"input":"patient/Observation.r?_id=Id-With-Dashes","kind":"resource","output":"patient-Observation.r?_id=Id\\-With\\-Dashes","warnings":null},` +
		`{"entra":{"length":6,"reasons":[],"registrable":true},"input":"openid","kind":"oidc","output":"openid","warnings":[]}],` +
		`"scope":"patient-Observation.r?_id=Id\\-With\\-Dashes openid","separator":"-"}`
	if text, _ := json.Marshal(got); string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if w.Header().Get("Content-Type") != "application/json" || w.Code != http.StatusOK {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestScope(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"scope":"user/*.read"}`, "user-*.read"},
		{`{"scope":["user/*.read","openid","user/*.read"]}`, "user-*.read openid"},
		{`{"scope":"user-*.read","direction":"decode"}`, "user/*.read"},
		{`{"scope":"user/*.read","separator":"~"}`, "user~*.read"},
		{`{"scope":"user/*.read","dialect":"ahds"}`, "user.all.read"},
		{`{"scope":"user/*.read","dialect":"fhir-server-proxy"}`, "user$*.read"},
		{`{"scope":"user/*.read","dialect":"aad-proxy"}`, "user-*.read"},
		{`{"scope":"user/*.read openid profile email offline_access fhirUser","resource":"api://fhir"}`, "api://fhir/user-*.read openid profile email offline_access api://fhir/fhirUser"},
		{`{"scope":"api://fhir/user-*.read openid","resource":"api://fhir","direction":"decode"}`, "user/*.read openid"},
		{`{"scope":"https://other.example/.default","resource":"api://fhir"}`, "https://other.example/.default"},
		{`{"scope":".default"}`, ".default"},
		{`{"scope":"custom-scope"}`, `custom\-scope`},
		{`{"scope":"user-Observation.rs","from":"aad-proxy","to":"ahds"}`, "user.Observation.rs"},
		{`{"scope":"user$Observation.rs?x=a-b","from":"fhir-server-proxy","to":"firely"}`, `user-Observation.rs?x=a\-b`},
		{`{"scope":"user-Observation.rs?x=a\\-b","from":"firely","to":"firely","separator":"~"}`, "user~Observation.rs?x=a-b"},
		{`{"scope":"user!Observation.rs","from":"firely","fromSeparator":"!","to":"firely","separator":"~"}`, "user~Observation.rs"},
		{`{"scope":"user~Observation.rs","from":"firely","separator":"~","to":"ahds"}`, "user.Observation.rs"},
		{`{"scope":"api://x/user-Observation.rs","from":"aad-proxy","to":"ahds","resource":"api://x"}`, "api://x/user.Observation.rs"},
		{`{"scope":"user-Observation.rs","from":"aad-proxy","to":"ahds","resource":"api://x","fromResource":""}`, "api://x/user.Observation.rs"},
		{`{"scope":"patient/A.r","aliases":{"patient/A.r":"docref"}}`, "docref"},
		{`{"scope":"docref","direction":"decode","aliases":{"patient/A.r":"docref"}}`, "patient/A.r"},
		{`{"scope":"patient/Observation.r?code=a%2Fb"}`, "patient-Observation.r?code=a%2Fb"},
	} {
		if a := ok(t, c.body); a.Scope != c.want {
			t.Errorf("%s: %q, want %q", c.body, a.Scope, c.want)
		}
	}
}

func TestConversionTellsAll(t *testing.T) {
	a := ok(t, `{"scope":"user$Observation.rs","from":"fhir-server-proxy","to":"firely","separator":"~"}`)
	if a.Direction != "convert" || a.From != "fhir-server-proxy" || a.FromSeparator != "" || a.To != "firely" || a.Dialect != "firely" || a.Separator != "~" ||
		a.Results[0].Decoded != "user/Observation.rs" || a.Results[0].Output != "user~Observation.rs" || a.Results[0].Kind != "resource" {
		t.Errorf("%+v", a)
	}
}

func TestArtefacts(t *testing.T) {
	a := ok(t, `{"scope":"user/*.read system/*.read","artefacts":true}`)
	if a.Artefacts == nil || len(a.Artefacts.AppRoles) != 1 || a.Artefacts.AppRoles[0].Value != "system-*.read" || len(a.Artefacts.OAuth2PermissionScopes) != 1 {
		t.Errorf("%+v", a.Artefacts)
	}
	if a := ok(t, `{"scope":"user/*.read","artefacts":false}`); a.Artefacts != nil {
		t.Errorf("%+v", a.Artefacts)
	}
}

func TestAliasesOfTheSetting(t *testing.T) {
	aliases, err := smart.ParseAliases(`{"patient/A.r":"docref"}`)
	if err != nil {
		t.Fatal(err)
	}
	h := translatescope.Handler{Aliases: aliases}
	w, err := get(h, "scope=patient/A.r")
	if a := read(t, w, err); a.Scope != "docref" {
		t.Errorf("%+v", a)
	}
	if _, err := post(h, `{"scope":"x","aliases":{"patient/B.r":"docref"}}`); !hasField(err, "aliases", "alias_collision") {
		t.Errorf("%v", err)
	}
}

func hasField(err error, name, code string) bool {
	e, _ := errors.AsType[*problem.Error](err)
	if e == nil {
		return false
	}
	for _, f := range e.Fields {
		if f.Field == name && f.Code == code && f.Message != "" && f.Fix != "" {
			return true
		}
	}
	return false
}

func TestInvalidFields(t *testing.T) {
	many := strings.Repeat("a ", 10_000)
	for _, c := range []struct{ body, field, code string }{
		{`{}`, "scope", "required"},
		{`{"scope":""}`, "scope", "required"},
		{`{"scope":" \t\n"}`, "scope", "required"},
		{`{"scope":[]}`, "scope", "required"},
		{`{"scope":null}`, "scope", "required"},
		{`{"scope":["openid",""]}`, "scope[1]", "not_one_scope"},
		{`{"scope":["openid profile"]}`, "scope[0]", "not_one_scope"},
		{`{"scope":[" openid"]}`, "scope[0]", "not_one_scope"},
		{`{"scope":"` + many + `"}`, "scope", "too_many_scopes"},
		{`{"scope":"a","direction":"both"}`, "direction", "unknown_direction"},
		{`{"scope":"a","direction":""}`, "direction", "unknown_direction"},
		{`{"scope":"a","direction":"convert"}`, "direction", "unknown_direction"},
		{`{"scope":"a","dialect":"okta"}`, "dialect", "unknown_dialect"},
		{`{"scope":"a","dialect":""}`, "dialect", "unknown_dialect"},
		{`{"scope":"a","dialect":"AHDS"}`, "dialect", "unknown_dialect"},
		{`{"scope":"a","dialect":"ahds","separator":"-"}`, "separator", "separator_not_used"},
		{`{"scope":"a","dialect":"aad-proxy","separator":"-"}`, "separator", "separator_not_used"},
		{`{"scope":"a","separator":""}`, "separator", "invalid_separator"},
		{`{"scope":"a","separator":"--"}`, "separator", "invalid_separator"},
		{`{"scope":"a","separator":"é"}`, "separator", "invalid_separator"},
		{`{"scope":"a","separator":"\\"}`, "separator", "invalid_separator"},
		{`{"scope":"a","separator":"/"}`, "separator", "invalid_separator"},
		{`{"scope":"a","resource":""}`, "resource", "empty"},
		{`{"scope":"a","resource":"api://x "}`, "resource", "invalid_resource"},
		{`{"scope":"a","resource":"api://x/.default"}`, "resource", "invalid_resource"},
		{`{"scope":"a","from":"firely"}`, "to", "required"},
		{`{"scope":"a","to":"firely"}`, "to", "required"},
		{`{"scope":"a","from":"x","to":"firely"}`, "from", "unknown_dialect"},
		{`{"scope":"a","from":"firely","to":"x"}`, "to", "unknown_dialect"},
		{`{"scope":"a","from":"ahds","to":"firely","direction":"encode"}`, "direction", "not_used"},
		{`{"scope":"a","from":"ahds","to":"firely","dialect":"firely"}`, "dialect", "not_used"},
		{`{"scope":"a","from":"ahds","to":"aad-proxy","separator":"-"}`, "separator", "separator_not_used"},
		{`{"scope":"a","from":"ahds","to":"firely","fromSeparator":"-"}`, "fromSeparator", "separator_not_used"},
		{`{"scope":"a","fromSeparator":"-"}`, "fromSeparator", "not_used"},
		{`{"scope":"a","fromResource":"x"}`, "fromResource", "not_used"},
		{`{"scope":"a","aliases":{"a":"b","c":"b"}}`, "aliases", "alias_collision"},
		{`{"scope":"a","aliases":{"a":"b/c"}}`, "aliases", "invalid_alias"},
	} {
		_, err := post(translatescope.Handler{}, c.body)
		if problem.CodeOf(err) != problem.InvalidFields || !hasField(err, c.field, c.code) {
			t.Errorf("%.80s: %v %+v", c.body, problem.CodeOf(err), err)
		}
	}
}

func TestMistakesAreToldTogether(t *testing.T) {
	_, err := post(translatescope.Handler{}, `{"direction":"x","dialect":"y","separator":"zz","resource":" ","aliases":{"a":"/"}}`)
	for _, f := range []string{"scope", "direction", "dialect", "separator", "resource", "aliases"} {
		e, _ := errors.AsType[*problem.Error](err)
		if n := strings.Count(names(e), f+";"); n != 1 {
			t.Errorf("%s is named %d times in %q", f, n, names(e))
		}
	}
}

func names(e *problem.Error) string {
	var b strings.Builder
	for _, f := range e.Fields {
		b.WriteString(f.Field + ";")
	}
	return b.String()
}

func TestMalformedBodies(t *testing.T) {
	for body, want := range map[string]problem.Code{
		`{"scope":5}`:                                    problem.MalformedBody,
		`{"scope":["a",null]}`:                           problem.MalformedBody,
		`{"scope":["a",["b"]]}`:                          problem.MalformedBody,
		`{"scope":{"a":"b"}}`:                            problem.MalformedBody,
		`{"scope":"a","Scope":"b"}`:                      problem.MalformedBody,
		`{"scope":"a","scope":"b"}`:                      problem.MalformedBody,
		`{"scope":"a","unknown":1}`:                      problem.MalformedBody,
		"{\"scope\":\"\xff\"}":                           problem.MalformedBody,
		`{"scope":"` + strings.Repeat("a", 1<<20) + `"}`: problem.BodyTooLarge,
	} {
		if _, err := post(translatescope.Handler{}, body); problem.CodeOf(err) != want {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
}

func TestUntranslatable(t *testing.T) {
	for _, c := range []struct{ body, code string }{
		{`{"scope":"openid a\u00e9"}`, "illegal_character"},
		{`{"scope":["openid","a\u0000"]}`, "illegal_character"},
		{`{"scope":"openid a\"b"}`, "illegal_character"},
		{`{"scope":"openid a%20b"}`, "percent_encoded"},
		{`{"scope":"openid a%0ab"}`, "percent_encoded"},
		{`{"scope":"openid a%C3%A9"}`, "percent_encoded"},
		{`{"scope":"openid a%22"}`, "percent_encoded"},
		{`{"scope":"openid a%7F"}`, "percent_encoded"},
		{`{"scope":"openid user/a-b.read","dialect":"aad-proxy"}`, "lossy"},
		{`{"scope":"openid a-b","dialect":"aad-proxy"}`, "lossy"},
		{`{"scope":"openid user/a$b.read","dialect":"fhir-server-proxy"}`, "lossy"},
		{`{"scope":"openid user/all.read","dialect":"ahds"}`, "lossy"},
		{`{"scope":"openid user/Observation.all","dialect":"ahds"}`, "lossy"},
		{`{"scope":"openid user/a/b.read","dialect":"ahds"}`, "lossy"},
		{`{"scope":"openid user/Observation.rs?x=%2f","dialect":"ahds"}`, "lossy"},
		{`{"scope":"openid fhirUser","dialect":"ahds"}`, "unsupported_scope"},
		{`{"scope":"openid .default","resource":"api://x"}`, "default_with_resource"},
		{`{"scope":"openid a\\","direction":"decode"}`, "dangling_escape"},
		{`{"scope":"openid a\\b","direction":"decode"}`, "invalid_escape"},
		{`{"scope":"openid a/b","direction":"decode"}`, "raw_slash"},
		{`{"scope":"openid a/b","direction":"decode","dialect":"ahds"}`, "raw_slash"},
		{`{"scope":"openid a/b","direction":"decode","dialect":"aad-proxy"}`, "raw_slash"},
		{`{"scope":"openid api://x/a api://y/a","direction":"decode","resource":"api://x"}`, "raw_slash"},
		{`{"scope":"openid api://x/.default api://y/.default"}`, "two_resources"},
		{`{"scope":"openid patient/*.rs api://y/.default","resource":"api://x"}`, "two_resources"},
		{`{"scope":"openid user.Observation.rs?x=%2F","direction":"decode","dialect":"ahds"}`, "not_canonical"},
		{`{"scope":"openid user.*.rs","direction":"decode","dialect":"ahds"}`, "lossy"},
		{`{"scope":"openid user$a-b","from":"fhir-server-proxy","to":"aad-proxy"}`, "lossy"},
		{`{"scope":"openid b","aliases":{"a":"b"}}`, "alias_collision"},
	} {
		_, err := post(translatescope.Handler{}, c.body)
		e, _ := errors.AsType[*problem.Error](err)
		if e == nil || e.Code != problem.UntranslatableScope || e.Detail == "" {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		text, _ := json.Marshal(e.Results)
		var results []result
		if err := json.Unmarshal(text, &results); err != nil {
			t.Fatal(err)
		}
		last := results[len(results)-1]
		if results[0].Output != "openid" || results[0].Error != nil || last.Output != "" || last.Error == nil || last.Error.Code != c.code || last.Error.Message == "" || last.Error.Fix == "" || last.Warnings == nil {
			t.Errorf("%s: %s", c.body, text)
		}
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"scope=patient/*.rs+openid", "patient-*.rs openid"},
		{"scope=patient%2F*.rs%20openid", "patient-*.rs openid"},
		{"scope=patient/Observation.r%3Fname%3Da%2Bb", "patient-Observation.r?name=a+b"},
		{"scope=patient/Observation.r?x=1%252Fb", "patient-Observation.r?x=1%2Fb"},
		{"scope=patient-*.rs&direction=decode&dialect=firely&separator=-", "patient/*.rs"},
		{"scope=api%3A%2F%2Fx/patient-*.rs&direction=decode&resource=api://x", "patient/*.rs"},
		{"scope=patient~*.rs&from=firely&to=ahds&fromSeparator=~", "patient.all.rs"},
	} {
		w, err := get(translatescope.Handler{}, c.query)
		if a := read(t, w, err); a.Scope != c.want {
			t.Errorf("%s: %q, want %q", c.query, a.Scope, c.want)
		}
	}
}

func TestGetRefuses(t *testing.T) {
	for _, c := range []struct{ query, field, code string }{
		{"", "scope", "required"},
		{"scope=", "scope", "required"},
		{"scope=a&scope=b", "scope", "duplicate_field"},
		{"scope=a&dialect=firely&dialect=firely", "dialect", "duplicate_field"},
		{"scope=a&unknown=1", "unknown", "unknown_field"},
		{"scope=a&Scope=1", "Scope", "unknown_field"},
		{"scope=a&aliases=1", "aliases", "unknown_field"},
		{"scope=a&%FF=1", "�", "unknown_field"},
		{"scope=%FF", "scope", "invalid_utf8"},
		{"scope=%zz", "query", "malformed_query"},
		{"scope=a,b", "scope", "comma_in_query"}, // how a host that forwards joins scope=a&scope=b
		{"scope=openid%2Cprofile%20x?a=b,c", "scope", "comma_in_query"},
		{"scope=" + strings.Repeat("a+", 10_000), "scope", "too_many_scopes"},
	} {
		_, err := get(translatescope.Handler{}, c.query)
		if problem.CodeOf(err) != problem.InvalidFields || !hasField(err, c.field, c.code) {
			t.Errorf("%.40s: %+v", c.query, err)
		}
	}
	if _, err := get(translatescope.Handler{}, "scope="+strings.Repeat("a", 1<<20)); problem.CodeOf(err) != problem.BodyTooLarge {
		t.Errorf("%v", err)
	}
	if _, err := get(translatescope.Handler{}, "scope=a%2520b"); problem.CodeOf(err) != problem.UntranslatableScope {
		t.Errorf("%v", err)
	}
}

func TestOtherMethods(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/api/translate-scope?scope=a", nil)
	err := translatescope.Handler{}.Translate(httptest.NewRecorder(), r)
	if e, _ := errors.AsType[*problem.Error](err); e == nil || e.Code != problem.MethodNotAllowed || len(e.Allow) != 3 {
		t.Errorf("%+v", err)
	}
}

// FuzzQuery: percent and plus are decoded once, and a translated scope comes back unchanged.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"scope=patient/*.rs+openid", "scope=a%2520b", "scope=a%252Fb&dialect=firely", "scope=%25%32%30", "scope=a&scope=b", "scope=%C2%A0a", "scope=a%00b&separator=%7E",
		"scope=user.all.read&direction=decode&dialect=ahds", "scope=x%2By&resource=api%3A%2F%2Fx", "scope=a$b&from=fhir-server-proxy&to=firely&separator=~", "scope=a;b",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		w, err := get(translatescope.Handler{}, query)
		if e, told := errors.AsType[*problem.Error](err); err != nil && (!told || e.Code.Status() >= http.StatusInternalServerError) {
			t.Fatalf("%q: %v", query, err)
		}
		if err == nil {
			checkOnce(t, query, read(t, w, nil))
		}
	})
}

// checkOnce decodes the query independently, and translates the answer back.
func checkOnce(t *testing.T, query string, a reply) {
	sent := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		sent[decodeOnce(key)] = decodeOnce(value)
	}
	inputs := distinct(strings.Fields(sent["scope"]))
	if len(a.Results) != len(inputs) || len(strings.Fields(a.Scope)) != len(inputs) {
		t.Fatalf("%q: %q, results %+v", query, inputs, a.Results)
	}
	for i, r := range a.Results {
		if r.Input != inputs[i] {
			t.Fatalf("%q: scope %d is %q, not %q", query, i, r.Input, inputs[i])
		}
	}
	if a.Direction == "convert" {
		return
	}
	back := url.Values{"scope": {a.Scope}, "dialect": {a.Dialect}, "direction": {map[string]string{"encode": "decode", "decode": "encode"}[a.Direction]}}
	for _, key := range []string{"separator", "resource"} {
		if v, ok := sent[key]; ok {
			back.Set(key, v)
		}
	}
	w, err := get(translatescope.Handler{}, back.Encode())
	if again := read(t, w, err); again.Scope != strings.Join(inputs, " ") {
		t.Fatalf("%q gives %q, which gives %q", query, a.Scope, again.Scope)
	}
}

// decodeOnce decodes a query component without net/url.
func decodeOnce(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%':
			b.WriteByte(digit(s[i+1])<<4 | digit(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xdf - 'A' + 10
}

func distinct(values []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, v := range values {
		if !seen[v] {
			seen[v] = true
			all = append(all, v)
		}
	}
	return all
}

// FuzzBody: no body makes the endpoint fail, and its answers are complete.
func FuzzBody(f *testing.F) {
	for _, b := range []string{
		`{"scope":"patient/*.rs openid"}`, `{"scope":["a","b"],"artefacts":true}`, `{"scope":"a","aliases":{"a":"b"}}`, `{"scope":"a$b","from":"fhir-server-proxy","to":"ahds"}`,
		`{"scope":"x","resource":"api://x","direction":"decode"}`, `{"scope":null}`, `{"scope":"a\u0000"}`, `{"scope":["\ud800"]}`, `{"SCOPE":"a"}`, `[]`,
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w, err := post(translatescope.Handler{}, body)
		if e, told := errors.AsType[*problem.Error](err); err != nil && (!told || e.Code.Status() >= http.StatusInternalServerError) {
			t.Fatalf("%q: %v", body, err)
		}
		if err != nil {
			return
		}
		a := read(t, w, nil)
		if len(a.Results) == 0 || len(strings.Fields(a.Scope)) != len(a.Results) {
			t.Fatalf("%q: %+v", body, a)
		}
	})
}
