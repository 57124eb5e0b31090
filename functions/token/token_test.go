package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/token"
	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	good     = "grant_type=client_credentials&slug=good-health-clinic"
)

var (
	now    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	broker = caller.Caller{Organization: "11111111-1111-4111-8111-111111111111", AppID: "azp-1", ObjectID: "oid-1", App: true, Operator: true}
)

// granter grants a token for one slug.
type granter struct {
	err          error // of Token
	asked        int   // for tokens
	organization string
	operator     bool
}

func (g *granter) Scope(_ context.Context, organization string, operator bool, slug string) (string, error) {
	g.organization, g.operator = organization, operator
	if slug != "good-health-clinic" {
		return "", problem.New(problem.LinkNotFound, "no link %q", slug)
	}
	return "https://fhir.example/.default", nil
}

func (g *granter) Token(_ context.Context, organization string, operator bool, slug string) (tokens.Grant, error) {
	g.organization, g.operator = organization, operator
	g.asked++
	if g.err != nil {
		return tokens.Grant{}, g.err
	}
	if slug != "good-health-clinic" {
		return tokens.Grant{}, problem.New(problem.LinkNotFound, "no link %q", slug)
	}
	return tokens.Grant{
		AccessToken: secret.New("canary-token"), ExpiresOn: now.Add(3599*time.Second + 900*time.Millisecond),
		Scope: "https://fhir.example/.default", Resource: "https://fhir.example",
	}, nil
}

// ask sends body, and answers errors as the route list does.
func ask(t *testing.T, links token.Granter, log *slog.Logger, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := token.Handler{Tokens: links, Log: log, Now: func() time.Time { return now }}
	r := httptest.NewRequestWithContext(caller.With(t.Context(), broker), "POST", "/api/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	httpx.Handle(log, h.Issue, token.WriteError).ServeHTTP(w, r)
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
		t.Errorf("a cache may keep the answer: %v", w.Header())
	}
	return w
}

func TestIssue(t *testing.T) {
	requests := []struct{ name, contentType, body string }{
		{"form", formType, good},
		{"form with charset", formType + "; charset=UTF-8", good},
		{"scope", formType, good + "&scope=https%3A%2F%2Ffhir.example%2F.default"},
		{"empty scope is none", formType, good + "&scope="},
		{"unrecognized parameters", formType, good + "&resource=x&resource=y&client_id=z"},
		{"json", jsonType, `{"slug":"good-health-clinic"}`},
	}
	for _, tt := range requests {
		t.Run(tt.name, func(t *testing.T) {
			links := &granter{}
			w := ask(t, links, nil, tt.contentType, tt.body)
			want := `{"access_token":"canary-token","token_type":"Bearer","expires_in":3599,"scope":"https://fhir.example/.default","resource":"https://fhir.example"}` + "\n"
			if w.Code != http.StatusOK || w.Body.String() != want {
				t.Errorf("%d %s, want %s", w.Code, w.Body, want)
			}
			if links.organization != broker.Organization || !links.operator {
				t.Errorf("asked as %q, operator %t", links.organization, links.operator)
			}
		})
	}
}

func TestIssueRefusesRequests(t *testing.T) {
	const slugless = "grant_type=client_credentials"
	tests := []struct {
		name, contentType, body string
		status                  int
		code                    string
		says                    string
	}{
		{"no grant_type", formType, "slug=x", 400, "invalid_request", "grant_type is missing"},
		{"empty grant_type", formType, "grant_type=&slug=x", 400, "invalid_request", "grant_type is missing"},
		{"two grant_types", formType, good + "&grant_type=client_credentials", 400, "invalid_request", "grant_type stands more than once"},
		{"other grant_type", formType, "grant_type=password&slug=x&slug=y&client_secret=z", 400, "unsupported_grant_type", "client_credentials"},
		{"other grant_type before slug", formType, "grant_type=authorization_code", 400, "unsupported_grant_type", ""},
		{"case of grant_type", formType, "grant_type=Client_Credentials&slug=x", 400, "unsupported_grant_type", ""},
		{"client_secret", formType, good + "&client_secret=canary", 400, "invalid_request", "client_secret"},
		{"client_assertion", formType, slugless + "&client_assertion=canary", 400, "invalid_request", "client_assertion"},
		{"no slug", formType, slugless, 400, "invalid_request", "slug is missing"},
		{"empty slug", formType, slugless + "&slug=", 400, "invalid_request", "slug is missing"},
		{"two slugs", formType, good + "&slug=other", 400, "invalid_request", "slug stands more than once"},
		{"two scopes", formType, good + "&scope=a&scope=b", 400, "invalid_request", "scope stands more than once"},
		{"unknown slug", formType, slugless + "&slug=other", 400, "invalid_target", "no link"},
		{"malformed slug", formType, slugless + "&slug=%00../%22", 400, "invalid_target", "no link"},
		{"other scope", formType, good + "&scope=https%3A%2F%2Fother%2F.default", 400, "invalid_scope", "https://fhir.example/.default"},
		{"unknown slug with a scope", formType, slugless + "&slug=other&scope=x", 400, "invalid_target", "no link"},
		{"scope with more", formType, good + "&scope=https%3A%2F%2Ffhir.example%2F.default+openid", 400, "invalid_scope", ""},
		{"empty", formType, "", 400, "invalid_request", "Content-Length"},
		{"bad percent", formType, good + "&x=%zz", 400, "invalid_request", "not a form"},
		{"semicolon", formType, "grant_type=client_credentials;slug=x", 400, "invalid_request", "not a form"},
		{"too large", formType, good + "&x=" + strings.Repeat("a", httpx.MaxBody), 413, "invalid_request", "64 KiB"},
		{"text", "text/plain", good, 415, "invalid_request", formType},
		{"no type", "", good, 415, "invalid_request", ""},
		{"latin-1 form", formType + "; charset=iso-8859-1", good, 415, "invalid_request", ""},
		{"json: unknown key", jsonType, `{"slug":"good-health-clinic","client_secret":"canary"}`, 400, "invalid_request", "client_secret"},
		{"json: no slug", jsonType, `{}`, 400, "invalid_request", "slug is missing"},
		{"json: null slug", jsonType, `{"slug":null}`, 400, "invalid_request", "slug is missing"},
		{"json: number", jsonType, `{"slug":5}`, 400, "invalid_request", "Send a string"},
		{"json: duplicate", jsonType, `{"slug":"a","slug":"b"}`, 400, "invalid_request", "twice"},
		{"json: unknown slug", jsonType, `{"slug":"other"}`, 400, "invalid_target", ""},
		{"json: a form", jsonType, good, 400, "invalid_request", "must be a JSON object, {...}"},
		{"json: array", jsonType, "[]", 400, "invalid_request", "must be a JSON object, {...}"},
		{"json: text", jsonType, `"x"`, 400, "invalid_request", "must be a JSON object, {...}"},
		{"json: syntax", jsonType, `{"slug":"a\q"}`, 400, "invalid_request", "line 1, column 12: a backslash"},
		{"json: lone surrogate", jsonType, `{"slug":"\ud800"}`, 400, "invalid_request", "(backslash, u, four digits)"},
		{"json: case", jsonType, `{"Slug":"a"}`, 400, "invalid_request", "written 'slug'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			links := &granter{}
			w := ask(t, links, nil, tt.contentType, tt.body)
			checkError(t, w, tt.status, tt.code, tt.says)
			if links.asked > 0 && tt.code != "invalid_target" {
				t.Error("a token was asked for")
			}
			if strings.Contains(w.Body.String(), "canary") {
				t.Errorf("a secret comes back: %s", w.Body)
			}
		})
	}
}

func checkError(t *testing.T, w *httptest.ResponseRecorder, status int, code, says string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if w.Code != status || len(body) != 2 || body["error"] != code || body["error_description"] == "" || !strings.Contains(body["error_description"], says) {
		t.Errorf("%d %v, want %d %s …%s…", w.Code, body, status, code, says)
	}
	if replaced.MatchString(body["error_description"]) {
		t.Errorf("the text had characters that RFC 6749 §5.2 does not allow: %s", body["error_description"])
	}
	if w.Header().Get("Content-Type") != jsonType {
		t.Errorf("Content-Type = %q", w.Header().Get("Content-Type"))
	}
}

// replaced matches what [oauth.Plain] writes for a character that it cannot write otherwise.
var replaced = regexp.MustCompile("%[0-9A-F]{2}")

func TestIssueRefusedUpstream(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   string
		says   string
		header http.Header
	}{
		{
			"expired secret", fmt.Errorf("token: %w", &tokens.Refused{Code: "aadsts_7000222", Message: "The client secret has expired.", Fix: "Create a new one in “Certificates & secrets”."}),
			400, "invalid_grant", "The client secret has expired. Create a new one in 'Certificates & secrets'.", nil,
		},
		{
			"unreachable", problem.Unavailable(errors.New("canary"), 7*time.Second, "Entra did not answer."),
			503, "temporarily_unavailable", "Entra did not answer.",
			http.Header{"Retry-After": {"7"}},
		},
		{"unreachable without a time", problem.Unavailable(nil, 0, "d"), 503, "temporarily_unavailable", "", http.Header{"Retry-After": {"1"}}},
		{"fault", errors.New("canary"), 500, "server_error", "Try again later", nil},
		{"unexpected problem", problem.New(problem.SlugTaken, "canary"), 500, "server_error", "", nil},
		{
			"no token", &problem.Error{Code: problem.Unauthenticated, Challenge: oauth.Bearer, Detail: "Sign in."},
			401, "invalid_client", "Sign in.",
			http.Header{"Www-Authenticate": {"Bearer"}},
		},
		{
			"no token, no challenge", problem.New(problem.Unauthenticated, "Sign in."), 401, "invalid_client", "Sign in.",
			http.Header{"Www-Authenticate": {"Bearer"}},
		},
		{
			"bad token", &problem.Error{Code: problem.Unauthenticated, Challenge: `Bearer error="invalid_token"`, Detail: "Bad."},
			401, "invalid_token", "Bad.",
			http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}},
		},
		{
			"no right", &problem.Error{Code: problem.Forbidden, Challenge: `Bearer error="insufficient_scope"`, Detail: "No."},
			403, "insufficient_scope", "No.",
			http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope"`}},
		},
		{
			"method", &problem.Error{Code: problem.MethodNotAllowed, Allow: []string{"OPTIONS", "POST"}, Detail: "No."},
			405, "invalid_request", "No.",
			http.Header{"Allow": {"OPTIONS, POST"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(t, &granter{err: tt.err}, nil, formType, good)
			checkError(t, w, tt.status, tt.code, tt.says)
			for name, want := range tt.header {
				if got := w.Header()[name]; len(got) != 1 || got[0] != want[0] {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if strings.Contains(w.Body.String(), "canary") {
				t.Errorf("the cause comes out: %s", w.Body)
			}
		})
	}
}

// A wrong scope is reported whatever else is wrong with the link's credentials.
func TestScopeIsCheckedFirst(t *testing.T) {
	links := &granter{err: &tokens.Refused{Message: "m", Fix: "f"}}
	w := ask(t, links, nil, formType, good+"&scope=other")
	checkError(t, w, 400, "invalid_scope", "https://fhir.example/.default")
	if links.asked > 0 {
		t.Error("a token was asked for")
	}
}

// Explanations of Entra's refusals contain no character that RFC 6749 §5.2 forbids.
func TestRefusalsReadWell(t *testing.T) {
	for _, failure := range entra.Failures() {
		w := ask(t, &granter{err: &tokens.Refused{Message: failure.Message, Fix: failure.Fix}}, nil, formType, good)
		checkError(t, w, 400, "invalid_grant", "")
	}
}

func TestExpiresInIsNeverNegative(t *testing.T) {
	h := token.Handler{Tokens: &granter{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now.Add(2 * time.Hour) }}
	r := httptest.NewRequest("POST", "/api/token", strings.NewReader(good))
	r.Header.Set("Content-Type", formType)
	w := httptest.NewRecorder()
	if err := h.Issue(w, r); err != nil || !strings.Contains(w.Body.String(), `"expires_in":0,`) {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestEveryTokenIsLogged(t *testing.T) {
	var out bytes.Buffer
	log := eventlog.New(&out, slog.LevelInfo)
	ask(t, &granter{}, log, formType, good)
	var event map[string]any
	if err := json.Unmarshal(out.Bytes(), &event); err != nil {
		t.Fatal(err)
	}
	delete(event, "time")
	want := map[string]any{
		"level": "INFO", "msg": "token.issued", "link": "good-health-clinic", "tid": broker.Organization,
		"azp": "azp-1", "oid": "oid-1", "expiry": "2026-11-23T10:59:59.9Z", "cached": false, "previous": false,
	}
	if fmt.Sprint(event) != fmt.Sprint(want) {
		t.Errorf("logged %v, want %v", event, want)
	}
	for _, tt := range []struct {
		err         error
		form        string
		level       string
		oauth, code string
	}{
		{nil, good + "&scope=other", "INFO", "invalid_scope", ""},
		{nil, "grant_type=client_credentials&slug=no-such-clinic", "INFO", "invalid_target", "link_not_found"},
		{errors.New("x"), good, "INFO", "server_error", ""},
		{&tokens.Refused{Code: "aadsts_7000222", Message: "m", Fix: "f", CorrelationID: "entra-id"}, good, "WARN", "invalid_grant", "aadsts_7000222"},
		{problem.Unavailable(nil, time.Second, "busy"), good, "WARN", "temporarily_unavailable", "upstream_unavailable"},
	} {
		out.Reset()
		ask(t, &granter{err: tt.err}, log, formType, tt.form)
		var line struct{ Level, Msg, Link, Tid, Azp, Oid, Error, Code, EntraCorrelation string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err, &out)
		}
		if line.Msg != "token.refused" || line.Level != tt.level || line.Error != tt.oauth || line.Code != tt.code || line.Link == "" ||
			line.Tid != broker.Organization || line.Azp != "azp-1" || line.Oid != "oid-1" || (line.EntraCorrelation == "entra-id") != (tt.oauth == "invalid_grant") {
			t.Errorf("logged %s", &out)
		}
	}
}

func FuzzIssue(f *testing.F) {
	for _, seed := range []string{good, "", "grant_type", "grant_type=client_credentials&slug=%ff", `{"slug":"good-health-clinic"}`, "a;b", "%"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, body string, form bool) {
		contentType := jsonType
		if form {
			contentType = formType
		}
		w := ask(t, &granter{}, nil, contentType, body)
		switch w.Code {
		case 200, 400, 413:
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: not JSON: %s", body, w.Body)
		}
	})
}
