package scripttest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/httpx/scripttest"
)

// server echoes each request, or answers as its path says.
func server(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "query": r.URL.RawQuery, "host": r.Host, "header": r.Header, "body": string(body),
			"length": r.ContentLength, "instance": time.Now().UnixNano(),
		})
	})
	mux.HandleFunc("/object", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Two"] = []string{"a", "b"}
		w.Header().Set("ETag", `"t"`)
		_, _ = io.WriteString(w, `{"list":[{"id":"x","n":1},{"id":"y","n":1.50}],"null":null,"text":"a <b> ü","deep":{"a":{"b":[true]}},"instance":"`+time.Now().String()+`"}`)
	})
	third := 0
	mux.HandleFunc("/third", func(w http.ResponseWriter, _ *http.Request) {
		if third++; third != 3 {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(w, third)
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		if line := r.URL.Query().Get("set"); line != "" {
			w.Header().Set("Set-Cookie", line)
		}
		w.Header().Set("Location", "https://elsewhere.example/cookies?code=a.b&state=x%20y")
		_ = json.NewEncoder(w).Encode(map[string]any{"cookie": r.Header.Get("Cookie"), "token": token, "authorization": r.Header.Get("Authorization")})
	})
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/object", http.StatusFound) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// token is a JSON Web Token with the header {"alg":"none"} and the claims {"iss":"me","n":1}.
const token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSIsIm4iOjF9.x"

func runner(t *testing.T) scripttest.Runner {
	return scripttest.Runner{
		URL:        server(t),
		Vars:       map[string]string{"name": "a value"},
		Callers:    map[string]http.Header{"somebody": {"Authorization": {"Bearer x"}}},
		Conditions: map[string]bool{"yes": true},
		Now:        func() time.Time { return time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 3600)) },
		Mask:       scripttest.Mask{Headers: []string{"Etag"}, Keys: []string{"instance", "null"}, Patterns: []*regexp.Regexp{regexp.MustCompile(`ü`)}},
	}
}

func run(t *testing.T, r scripttest.Runner, text string) ([]scripttest.Answer, error) {
	t.Helper()
	s, err := scripttest.Parse("s.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(t.Context(), s)
}

func TestRequestsAreSentAsWritten(t *testing.T) {
	r := runner(t)
	r.States = map[string]func(bool){"it rains": func(begins bool) {
		if begins {
			r.Callers["somebody"].Set("X-Weather", "rain")
		} else {
			r.Callers["somebody"].Del("X-Weather")
		}
	}}
	_, err := run(t, r, `
-- all of it --
POST /echo?q={{today}}
As: somebody
Host: example.org
X-Var: {{name}}/{{today+30}}/{{today-1}}

{{3*ab}}
 {"x": 1}

=> 200
json method == "POST"
json query == "q=2026-02-28"
json host == "example.org"
json header.Authorization == ["Bearer x"]
json header.X-Var[0] == "a value/2026-03-30/2026-02-27"
json header.As absent
json body == "ababab\n {\"x\": 1}"
json length == 16

-- in chunks --
POST /echo
Transfer-Encoding: chunked

abc
=> 200
json length == -1
json body == "abc"

-- three times --
POST /echo
Times: 3

the {{n}}rd
=> 200
json body == "the 3rd"
json header.Times absent

-- until it is there --
GET /third
Tries: 5
=> 200
body == 3

-- meanwhile --
GET /echo
As: somebody
Times: 2
While: it rains
=> 200
json header.While absent
json header.X-Weather == ["rain"]

-- afterwards --
GET /echo
As: somebody
=> 200
json header.X-Weather absent

-- without a body --
DELETE /echo
=> 200
json length == 0
`)
	if err != nil {
		t.Error(err)
	}
}

// Each check holds, and its opposite does not.
func TestChecks(t *testing.T) {
	r := runner(t)
	tests := []struct{ path, holds, fails string }{
		{"/object", `header ETag == "t"`, `header ETag == "u"`},
		{"/object", `header x-two == a, b`, `header x-two == a`},
		{"/object", `header ETag ~ ^"[a-z]"$`, `header ETag ~ ^[a-z]$`},
		{"/object", `header Location absent`, `header ETag absent`},
		{"/away", `header Location == /object`, `header Nope == x`},
		{"/object", `json list[0].n == 1`, `json list[0].n == 2`},
		{"/object", `json list[1].n == 1.50`, `json list[1].n == 1.5`},
		{"/object", `json list[id=y] == {"n":1.50, "id":"y"}`, `json list[id=z] == {}`},
		{"/object", `json null == null`, `json none == null`},
		{"/object", `json text == "a <b> ü"`, `json text == "a"`},
		{"/object", `json text ~ <b>`, `json text ~ <c>`},
		{"/object", `json deep.a.b[0] == true`, `json deep.a.b[1] == true`},
		{"/object", `json deep.a.b has true`, `json deep.a.b has false`},
		{"/object", `json deep.a.b lacks false`, `json deep.a.b lacks true`},
		{"/object", `json . has "list"`, `json . has "lost"`},
		{"/object", `json list length 2`, `json list length 3`},
		{"/object", `json text length 7`, `json null length 0`},
		{"/object", `json list[0] keys n id`, `json list[0] keys id`},
		{"/object", `json list[0] members id`, `json list[0] members id q`},
		{"/object", `json lost absent`, `json list absent`},
		{"/object", `json list.a absent`, `json null absent`},
		{"/object", `body contains "x"`, `body contains "q"`},
		{"/object", `body lacks {{name}}`, `body lacks {"list"`},
		{"/nothing", `body empty`, `body == x`},
		{"/away", `body contains Found`, `body empty`},
		{"/nothing", `body lacks x`, `json x absent`},
		{"/object", `header ETag lacks x`, `header ETag lacks t`},
		{"/object", `json list[0].n != 2`, `json list[0].n != 1`},
		{"/object", `json text != null`, `json none != null`},
		{"/cookies", `json token(claims).iss == "me"`, `json token(claims).iss == "you"`},
		{"/cookies", `json token(header) keys alg`, `json token(signature) == "x"`},
		{"/cookies", `json cookie(claims) absent`, `json token(claims.n == 1`},
	}
	for _, tt := range tests {
		script := "-- x --\nGET " + tt.path + "\n=> " + map[string]string{"/object": "200", "/cookies": "200", "/nothing": "204", "/away": "302"}[tt.path] + "\n"
		if _, err := run(t, r, script+tt.holds); err != nil {
			t.Errorf("%s: %v", tt.holds, err)
		}
		if _, err := run(t, r, script+tt.fails); err == nil || !strings.Contains(err.Error(), "s.txt:4: x: "+tt.fails) {
			t.Errorf("%s holds, too: %v", tt.fails, err)
		}
	}
}

func TestAllFailuresOfAnExchangeAreTold(t *testing.T) {
	tests := []struct{ text, want, not string }{
		{"=> 204\nbody == x\nheader A == b\n", "s.txt:7: bad: body == x", "later"},
		{"=> 204\nbody == x\nheader A == b\n", "s.txt:8: bad: header A == b", "later"},
		{"=> 200\nbody == x\n", "s.txt:4: bad: status 204, want 200", "body == x"},
		{"=> 200\nbody == x\n", "204 No Content", "later"},
	}
	for _, tt := range tests {
		answers, err := run(t, runner(t), "-- fine --\nGET /nothing\n=> 204\n-- bad --\nGET /nothing\n"+tt.text+"-- later --\nGET /none\n=> 200\n")
		if err == nil || len(answers) != 1 {
			t.Fatalf("%v, %v", answers, err)
		}
		if text := err.Error(); !strings.Contains(text, tt.want) || strings.Contains(text, tt.not) {
			t.Errorf("%q: %v, want %s and not %s", tt.text, err, tt.want, tt.not)
		}
	}
}

func TestConditions(t *testing.T) {
	r := runner(t)
	var before []string
	r.Before = func(e scripttest.Exchange) { before = append(before, e.Name) }
	answers, err := run(t, r, "-- [yes] a --\nGET /object\n=> 200\n[!yes] body == x\n[no] body == x\n-- [!yes] b --\nGET /object\n=> 500\n-- [no] c --\nGET /object\n=> 500\n-- [!no] d --\nGET /nothing\n=> 204\n")
	if err != nil || len(answers) != 2 || answers[0].Exchange != "a" || answers[1].Exchange != "d" {
		t.Errorf("%v, %v", answers, err)
	}
	if strings.Join(before, " ") != "a d" {
		t.Errorf("before %q", before)
	}
}

func TestKeep(t *testing.T) {
	r := runner(t)
	r.Vars["n-name"] = "n"
	_, err := run(t, r, `-- first --
GET /object
=> 200
keep tag header ETag
keep number json list[1].n
keep text json text
json list[n={{number}}] absent
json list[id=y].{{n-name}} == 1.50
-- second --
POST /echo
If-Match: {{tag}}

{{number}}{{text}}
=> 200
json header.If-Match[0] == "\"t\""
json body == "1.50a <b> ü"
`)
	if err != nil {
		t.Error(err)
	}
	if len(r.Vars) != 2 {
		t.Errorf("what one script keeps reaches others: %v", r.Vars)
	}
	if _, err := run(t, r, "-- a --\nGET /object\n=> 200\nkeep x json none\n"); err == nil {
		t.Error("a missing value was kept")
	}
}

// TestBrowsers: each browser has its own cookies of each site, and sends them as browsers do.
func TestBrowsers(t *testing.T) {
	r := runner(t)
	r.Sites = map[string]scripttest.Site{"https://here.example": {URL: r.URL}, "https://elsewhere.example": {URL: server(t)}}
	r.Vars["here"] = "https://here.example/cookies"
	answers, err := run(t, r, `-- one is set --
GET /cookies?set=__Host-a=1%3BPath=/%3BSecure%3BSameSite=Lax
Browser: pat
Basic: {{name}}:x
=> 200
json cookie == ""
json authorization == "Basic YSB2YWx1ZTp4"
keep code header Location ~ [?&]code=([^&]+)
keep to header Location
keep alg json token(header).alg ~ ^no(..)$
-- by another address of the server --
GET {{here}}
Browser: pat
=> 200
json cookie == "__Host-a=1"
-- another browser --
GET /cookies
Browser: ada
=> 200
json cookie == ""
-- no browser --
GET /cookies
=> 200
json cookie == ""
-- another server --
GET {{to}}&set=b=2
Browser: pat
=> 200
json cookie == ""
-- another server, again --
GET {{to}}
Browser: pat
=> 200
json cookie == "b=2"
-- a link on another site --
GET /cookies
Browser: pat
Sec-Fetch-Site: cross-site
=> 200
json cookie == "__Host-a=1"
-- a form of another site --
POST /cookies
Browser: pat
Sec-Fetch-Site: cross-site
=> 200
json cookie == ""
-- deleted --
GET /cookies?set=__Host-a=%3BPath=/%3BSecure%3BMax-Age=0
Browser: pat
=> 200
json cookie == "__Host-a=1"
-- it is gone --
POST /echo
Browser: pat

{{code}}{{alg}}
=> 200
json header.Cookie absent
json header.Browser absent
json body == "a.bne"
`)
	if err != nil || len(answers) != 8 {
		t.Errorf("%d answers, and not those of the other server: %v", len(answers), err)
	}
}

func TestMistakesInScripts(t *testing.T) {
	for text, want := range map[string]string{
		"-- a --\nGET /object?{{what}}\n=> 200\n":          `no variable "what"`,
		"-- a --\nGET /object\n=> 200\nbody == {{what}}\n": `no variable "what"`,
		"-- a --\nGET /object\nAs: x\n=> 200\n":            `no caller "x"`,
		"-- a --\nGET /object\nWhile: x\n=> 200\n":         `make it so that x`,
		"-- a --\nGET /object\n=> 200\nsame as b\n":        `no exchange "b"`,
		"-- a --\nGET /object\n=> 200\njson list == {\n":   "no JSON",
		"-- a --\nGET /object\n=> 200\njson list == 1 2\n": "more than one value",
		"-- a --\nGET /object\n=> 200\njson list ~ a\n":    "no string",
		"-- a --\nGET /object\n=> 200\nheader ETag ~ (\n":  "parsing regexp",

		"-- a --\nGET /object\n=> 200\nkeep x header ETag ~ (\n":                        "parsing regexp",
		"-- a --\nGET /object\n=> 200\nkeep x header ETag ~ t\n":                        "no group",
		"-- a --\nGET {{name}}\n=> 200\n":                                               "no server that is known",
		"-- a --\nGET {{what}}\n=> 200\n":                                               `no variable "what"`,
		"-- a --\nGET /cookies?set=__Host-a=1%3BPath=/\nBrowser: pat\n=> 200\n":         "browsers ignore",
		"-- a --\nGET /cookies?set=__Host-a=1%3BPath=/x%3BSecure\nBrowser: p\n=> 200\n": "browsers ignore",
	} {
		if _, err := run(t, runner(t), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestSameIsJudgedMasked(t *testing.T) {
	answers, err := run(t, runner(t), `-- one --
GET /object
=> 200
-- two --
GET /object
=> 200
same as one
`)
	if err != nil {
		t.Fatal(err)
	}
	want := `200 OK
Content-Type: text/plain; charset=utf-8
Etag: •
X-Two: a, b

{"deep":{"a":{"b":[true]}},"instance":"•","list":[{"id":"x","n":1},{"id":"y","n":1.50}],"null":null,"text":"a <b> •"}
`
	if answers[0].Text != want {
		t.Errorf("masked:\n%s\nwant:\n%s", answers[0].Text, want)
	}
	if _, err := run(t, runner(t), "-- one --\nGET /object\n=> 200\n-- two --\nGET /nothing\n=> 204\nsame as one\n"); err == nil {
		t.Error("different answers are the same")
	}
}

func TestTestRunsAScript(t *testing.T) {
	s, err := scripttest.Parse("s.txt", "-- a --\nGET /nothing\n=> 204\n")
	if err != nil {
		t.Fatal(err)
	}
	if answers := runner(t).Test(t, s); len(answers) != 1 || answers[0].Text != "204 No Content\n\n" {
		t.Errorf("%q", answers)
	}
}

// Every answer of every script must be one that all hosts pass on.
// TestAssertion: the header Assertion adds a client assertion to the form, signed by the key that {{jwk}} has
// the public half of.
func TestAssertion(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		var public jose.JSONWebKey
		if err := json.Unmarshal([]byte(r.PostForm.Get("key")), &public); err != nil {
			t.Error(err)
		}
		signed, err := jose.ParseSignedCompact(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES384})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := signed.Verify(public)
		if err != nil || signed.Signatures[0].Header.KeyID != "ES384" {
			t.Error(err)
		}
		_, _ = w.Write(claims)
	}))
	defer server.Close()
	script, err := scripttest.Parse("assertion", `-- once --
POST /token
Content-Type: application/x-www-form-urlencoded
Assertion: ES384 app {{audience}} jti-1

key={{jwk ES384}}
=> 200
json iss == "app"
json sub == "app"
json aud == "https://a.example/token"
json jti == "jti-1"
`)
	if err != nil {
		t.Fatal(err)
	}
	r := scripttest.Runner{URL: server.URL, Vars: map[string]string{"audience": "https://a.example/token"}}
	if _, err := r.Run(t.Context(), script); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"ES384 app", "RS256 app a", "none app a"} {
		script.Exchanges[0].Assertion = bad
		if _, err := r.Run(t.Context(), script); err == nil {
			t.Errorf("Assertion: %s is taken", bad)
		}
	}
}

func TestHeadersMustBeASCII(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Name", "Ä") }))
	defer server.Close()
	_, err := run(t, scripttest.Runner{URL: server.URL}, "-- one --\nGET /\n\n=> 200\n")
	if err == nil || !strings.Contains(err.Error(), "X-Name is not ASCII") {
		t.Error(err)
	}
}
