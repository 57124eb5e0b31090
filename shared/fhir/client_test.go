package fhir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"fhirlink/shared/secret"
)

// serve lets h answer every request of the client, without a network.
func serve(t *testing.T, h http.HandlerFunc) Client {
	t.Helper()
	base, _, mistake := ParseBaseURL("https://fhir.example.org/r4", false)
	if mistake != nil {
		t.Fatal(mistake)
	}
	return Client{Base: base, HTTP: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			h(w, r)
			return w.Result(), nil
		}),
	}}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequests(t *testing.T) {
	const token = "canary-token"
	tests := []struct {
		send func(Client) (Answer, error)
		want string // method, URL, and the relevant headers and body
	}{
		{func(c Client) (Answer, error) { _, a, _ := c.Metadata(t.Context()); return a, nil }, "GET https://fhir.example.org/r4/metadata application/fhir+json, application/json;q=0.9"},
		{func(c Client) (Answer, error) { _, a, _ := c.SMARTConfiguration(t.Context()); return a, nil }, "GET https://fhir.example.org/r4/.well-known/smart-configuration application/json"},
		{func(c Client) (Answer, error) { return c.Read(t.Context(), MissingBasic("x"), secret.Value{}) }, "GET https://fhir.example.org/r4/Basic/x application/fhir+json, application/json;q=0.9"},
		{func(c Client) (Answer, error) { return c.Read(t.Context(), OnePatient(), secret.New(token)) }, "GET https://fhir.example.org/r4/Patient?_count=1&_elements=id application/fhir+json, application/json;q=0.9 Bearer canary-token"},
		{func(c Client) (Answer, error) { return c.Write(t.Context(), "x", secret.New(token)) }, `PUT https://fhir.example.org/r4/Basic/x application/fhir+json, application/json;q=0.9 Bearer canary-token application/fhir+json W/"1" {"resourceType":"Basic","id":"x","code":{"text":"link verification"}}`},
		{func(c Client) (Answer, error) { return c.Remove(t.Context(), "x", secret.New(token)) }, "DELETE https://fhir.example.org/r4/Basic/x application/fhir+json, application/json;q=0.9 Bearer canary-token"},
	}
	for _, tt := range tests {
		var got string
		a, err := tt.send(serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // an error shows in the text
			words := []string{r.Method, r.URL.String(), r.Header.Get("Accept"), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("If-Match"), string(body)}
			got = strings.Join(strings.Fields(strings.Join(words, " ")), " ")
			if r.Header.Get("X-Ms-Azurefhir-Audit-Link") != "verify" || r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("headers %v", r.Header)
			}
			w.WriteHeader(http.StatusTeapot)
		}))
		if err != nil || got != tt.want || a.Status != http.StatusTeapot {
			t.Errorf("got  %s\nwant %s\n%+v %v", got, tt.want, a, err)
		}
		if strings.Contains(fmt.Sprintf("%+v", a), token) {
			t.Errorf("the answer repeats the token: %+v", a)
		}
	}
}

func TestAnswer(t *testing.T) {
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"%s"}]}`
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		check  func(Answer) bool
	}{
		{"missing resource", 404, nil, fmt.Sprintf(outcome, "Resource type 'Basic' with id 'x' couldn't be found."), func(a Answer) bool { return a.NotFound() && a.ResourceType == "OperationOutcome" }},
		{"byte order mark", 404, nil, "\ufeff" + fmt.Sprintf(outcome, "gone"), Answer.NotFound},
		{"no route", 404, nil, fmt.Sprintf(outcome, "The requested route was not found."), func(a Answer) bool { return !a.NotFound() && a.Outcome.NoRoute() }},
		{"a web server's 404", 404, nil, "<h1>not found</h1>", func(a Answer) bool { return !a.NotFound() && a.Outcome == nil && a.ResourceType == "" }},
		{"no issues", 404, nil, `{"resourceType":"OperationOutcome"}`, func(a Answer) bool { return !a.NotFound() && a.Outcome != nil }},
		{"text in details", 403, nil, `{"resourceType":"OperationOutcome","issue":[{"details":{"text":"Customer-Managed Key"}}]}`, func(a Answer) bool { return a.Outcome.Says("customer-managed key") }},
		{"long diagnostics", 403, nil, fmt.Sprintf(outcome, strings.Repeat("x", 9000)), func(a Answer) bool { return len(a.Outcome.Diagnostics) == maxDiagnostics }},
		{"deep nesting", 403, nil, strings.Repeat(`{"issue":[`, 3000), func(a Answer) bool { return a.Outcome == nil }},
		{"wrong types", 403, nil, `{"resourceType":"OperationOutcome","issue":{"code":5}}`, func(a Answer) bool { return a.Outcome == nil }},
		{"a bundle that is cut off", 200, nil, `{"id":{"a":[1]},"resourceType":"Bundle","entry":["` + strings.Repeat("x", 2*maxBody), func(a Answer) bool { return a.ResourceType == "Bundle" }},
		{"seconds", 429, header("Retry-After", "7"), "", func(a Answer) bool { return a.RetryAfter == 7*time.Second }},
		{"milliseconds first", 429, header("Retry-After", "7", "x-ms-retry-after-ms", "60"), "", func(a Answer) bool { return a.RetryAfter == 60*time.Millisecond }},
		{"endless wait", 429, header("x-ms-retry-after-ms", "99999999999"), "", func(a Answer) bool { return a.RetryAfter == time.Hour }},
		{"nonsense to wait", 429, header("x-ms-retry-after-ms", "-5", "Retry-After", "soon"), "", func(a Answer) bool { return a.RetryAfter == 0 }},
		{"correlation id", 401, header("X-Request-Id", "0f0e0d0c"), "", func(a Answer) bool { return a.CorrelationID == "0f0e0d0c" }},
		{"hostile correlation id", 401, header("X-Correlation-Id", "<script>", "X-Request-Id", strings.Repeat("a", 200)), "", func(a Answer) bool { return a.CorrelationID == "" }},
		{"media type", 200, header("Content-Type", " Application/FHIR+json ; charset=utf-8"), "", func(a Answer) bool { return a.MediaType == "application/fhir+json" }},
		{"redirect", 302, header("Location", "https://Login.Example.org/x?secret"), "", func(a Answer) bool { return a.RedirectHost == "login.example.org" }},
		{"redirect on the same host", 302, header("Location", "/fhir/r4/metadata?x=secret#y"), "", func(a Answer) bool { return a.Redirect == "https://fhir.example.org/fhir/r4/metadata" && !a.SignIn() }},
		{"redirect to a sign-in page", 302, header("Location", "https://accounts.google.com/x"), "", Answer.SignIn},
		{"redirect to another port", 302, header("Location", "https://fhir.example.org:8443/r4/metadata"), "", func(a Answer) bool {
			return a.Redirect == "https://fhir.example.org:8443/r4/metadata" && a.RedirectHost == "fhir.example.org"
		}},
		{"redirect to the usual port", 302, header("Location", "https://fhir.example.org:443/r4/x"), "", func(a Answer) bool { return a.Redirect == "https://fhir.example.org/r4/x" }},
		{"redirect to the usual port of http", 302, header("Location", "http://fhir.example.org:80/r4/x"), "", func(a Answer) bool { return a.Redirect == "http://fhir.example.org/r4/x" }},
		{"redirect to an odd host", 302, header("Location", "https://a_b/<script>"), "", func(a Answer) bool { return a.RedirectHost == "" }},
		{"the challenge that says most", 401, header("WWW-Authenticate", `Bearer realm="x", Basic realm="y"`, "WWW-Authenticate", `bearer authorization_uri="https://a"`), "", func(a Answer) bool { return a.Challenge.Params["authorization_uri"] == "https://a" }},
		{"no Bearer challenge", 401, header("WWW-Authenticate", `Basic realm="y"`), "", func(a Answer) bool { return a.Challenge == nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body) // to memory
			})
			a, err := c.Read(t.Context(), MissingBasic("x"), secret.Value{})
			if err != nil || a.Status != tt.status || !tt.check(a) {
				t.Errorf("%+v, outcome %+v, %v", a, a.Outcome, err)
			}
		})
	}
}

// Of data that a token opens, only the type is read.
func TestReadDiscardsData(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"resourceType":"Bundle","type":"searchset","total":3}`:                          {"Bundle", "searchset"},
		`{"resourceType":"Bundle","id":"x","entry":[` + "\x00":                            {"Bundle", ""},
		`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"broken`:       {"Bundle", "searchset"},
		`{"entry":[{"resource":{"type":"no"}}],"resourceType":"Bundle","type":"history"}`: {"Bundle", "history"},
		`{"resourceType":"Patient","type":"x","name":[`:                                   {"Patient", ""},
		`{"error":"login"}`: {}, `<html>`: {}, ``: {},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body) // to memory
		})
		a, err := c.Read(t.Context(), CountPatients(), secret.New("t"))
		if err != nil || a.ResourceType != want[0] || a.BundleType != want[1] || a.Said() != "" {
			t.Errorf("%q gives %+v %v", body, a, err)
		}
	}
}

// An OperationOutcome holds no data, so it is read in full.
func TestReadOutcomeOf200(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"resourceType":"OperationOutcome","text":{"div":"`+strings.Repeat("x", 3*maxHead)+`"},"issue":[{"severity":"error","code":"login","diagnostics":"Sign in."}]}`)
	})
	a, err := c.Read(t.Context(), CountPatients(), secret.New("t"))
	if err != nil || a.Outcome == nil || a.Outcome.Severity != "error" || a.Outcome.Code != "login" || a.Said() != "Sign in." {
		t.Errorf("%+v %+v %v", a, a.Outcome, err)
	}
}

func TestSMARTConfiguration(t *testing.T) {
	scopes := strings.Repeat(`"patient/Observation.rs?category=x",`, 20000)
	for body, want := range map[string]SMARTConfiguration{
		`{"token_endpoint":"https://a/t","authorization_endpoint":"https://a/a","x":[1]}`:            {Token: "https://a/t", Authorize: "https://a/a"},
		"\ufeff" + `{"token_endpoint":"https://a/t"}`:                                                {Token: "https://a/t"},
		`{"issuer":"https://a","jwks_uri":"https://a/k"}`:                                            {Issuer: "https://a", Keys: "https://a/k"},
		`{"authorization_endpoint":["https://a/a"],"issuer":{},"token_endpoint":"https://a/t"}`:      {Token: "https://a/t"},
		`{"token_endpoint":"https://a/t","capabilities":["a",],}`:                                    {Token: "https://a/t"},
		`{"scopes_supported":[` + scopes + `"x"],"token_endpoint":"https://a/t"}`:                    {Token: "https://a/t"},
		`{"scopes_supported":[` + strings.Repeat(scopes, 2) + `"x"],"token_endpoint":"https://a/t"}`: {},
		`{"token_endpoint":"` + strings.Repeat("x", maxText+1) + `"}`:                                {},
		`<html>`: {}, `[]`: {}, `{"token_endpoint":5}`: {}, strings.Repeat("[", 1e6): {}, ``: {},
	} {
		got, _, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body) // to memory
		}).SMARTConfiguration(t.Context())
		if got != want || (want == SMARTConfiguration{}) == (err == nil) {
			t.Errorf("%.40q gives %+v, %v", body, got, err)
		}
	}
	got, _, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"token_endpoint":"https://a/t"}`) // to memory
	}).SMARTConfiguration(t.Context())
	if got != (SMARTConfiguration{}) || err != nil {
		t.Errorf("a 404 gives %+v, %v", got, err)
	}
}

func TestTimeout(t *testing.T) {
	c := serve(t, nil)
	c.Timeout = time.Millisecond
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	if a, err := c.Read(t.Context(), OnePatient(), secret.Value{}); !errors.Is(err, context.DeadlineExceeded) || a.Status != 0 || a.Connected {
		t.Errorf("%+v %v", a, err)
	}
}

// A server may still send something after the client has given up. That is not an answer.
func TestAnswerAfterTheTimeout(t *testing.T) {
	for name, body := range map[string]string{"nothing": "", "a part": `{"resourceType":"Capab`, "all": `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
					<-r.Context().Done()
					w.Header().Set("Content-Type", "application/fhir+json")
					_, _ = io.WriteString(w, body) // to memory
				})
				_, a, err := c.Metadata(t.Context())
				if !errors.Is(err, context.DeadlineExceeded) || !a.Connected || a.Status != 0 || a.Elapsed != DefaultTimeout {
					t.Errorf("%+v %v", a, err)
				}
			})
		})
	}
}

// dawdling is a body that ends too late or never.
type dawdling struct {
	io.Reader
	ctx  context.Context
	done error // the error at the end
}

func (d dawdling) Read(p []byte) (int, error) {
	if n, err := d.Reader.Read(p); !errors.Is(err, io.EOF) {
		return n, err
	}
	<-d.ctx.Done()
	return 0, d.done
}

func TestBodyThatDawdles(t *testing.T) {
	const statement = `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}`
	for name, tt := range map[string]struct {
		body string
		done error
		want error
	}{
		"all is there, but the end":             {statement, context.DeadlineExceeded, nil},
		"a part is there":                       {statement[:20], context.DeadlineExceeded, context.DeadlineExceeded},
		"a part is there, and the server ended": {statement[:20], io.EOF, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, nil)
				c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					body := io.NopCloser(dawdling{strings.NewReader(tt.body), r.Context(), tt.done})
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: body}, nil
				})
				if got, a, err := c.Metadata(t.Context()); !errors.Is(err, tt.want) || a.Status != 200 || (got.FHIRVersion == "4.0.1") != (tt.want == nil) {
					t.Errorf("%+v %+v %v", got, a, err)
				}
				if a, err := c.Read(t.Context(), OnePatient(), secret.New("t")); (err != nil) != (tt.want != nil && tt.done != io.EOF) || a.Status != 200 {
					t.Errorf("the type alone: %+v %v", a, err)
				}
			})
		})
	}
}

func TestBrokenBody(t *testing.T) {
	c := serve(t, nil)
	c.HTTP.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}, nil
	})
	if _, err := c.Read(t.Context(), OnePatient(), secret.Value{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestNewID(t *testing.T) {
	a, b := NewID(), NewID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(a) || a == b {
		t.Errorf("%s %s", a, b)
	}
}

func FuzzOutcome(f *testing.F) {
	f.Add([]byte(`{"resourceType":"OperationOutcome","issue":[{"code":"forbidden","diagnostics":"x"}]}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		kind := headOf(bytes.NewReader(body)).resourceType
		o := parseOutcome(body)
		if o == nil {
			return
		}
		if len(o.Diagnostics) > maxDiagnostics {
			t.Fatalf("%d bytes kept", len(o.Diagnostics))
		}
		// encoding/json ignores the case of names and takes the last of repeated ones.
		if kind == "" && strings.Count(strings.ToLower(string(body)), `"resourcetype"`) == 1 && strings.Contains(string(body), `"resourceType"`) && len(body) < maxText {
			t.Fatalf("an OperationOutcome without a type: %q", body)
		}
	})
}

func FuzzSMARTConfiguration(f *testing.F) {
	f.Add([]byte(`{"token_endpoint":"https://a/t","authorization_endpoint":"https://a/a"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if c, err := readSMARTConfiguration(bytes.NewReader(body)); err != nil && c != (SMARTConfiguration{}) || len(c.Token) > maxText {
			t.Fatalf("%+v %v", c, err)
		}
	})
}

// TestSignIn: redirects of sign-ins are recognized, redirects of servers that have moved are not
// taken for them.
func TestSignIn(t *testing.T) {
	for location, want := range map[string]bool{
		"https://login.microsoftonline.com/common/oauth2/v2.0/authorize?client_id=x": true, "https://login.partner.microsoftonline.cn/x": true, "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_x/oauth2/v2.0/authorize": true,
		"/.auth/login/aad?post_login_redirect_uri=x": true, "/oauth2/start?rd=%2Fr4": true, "/Account/Login?ReturnUrl=%2Fr4": true, "/saml2/authenticate/okta": true, "https://idp.example.org/idp/profile/SAML2/Redirect/SSO?x": true, "/Shibboleth.sso/Login": true, "/cas/login?service=x": true,
		"https://team.cloudflareaccess.com/cdn-cgi/access/login/fhir.example.org": true, "https://kc.example.org/realms/fhir/protocol/openid-connect/auth?x": true, "https://x.okta.com/app/a/exk/sso/saml": true, "https://idp.example.org/as/authorization.oauth2?x": true, "/my.policy": true, "/_layouts/15/Authenticate.aspx?Source=x": true, "/adfs/ls/?wa=x": true,
		"/logon/LogonPoint/index.html": true, "/pkmslogin.form": true, "/connect/authorize/callback": true, "/oidc/auth": true, "/nidp/app": true, "/signin-oidc": true, "/ui/signin": true, "/accounts/": true,

		"https://fhir.example.org/fhir/r4/Patient?_summary=count": false, "/accounts/123/fhir/r4/Patient": false, "https://fhir.signin-health.example/r4/Patient": false, "/blogInfo/r4/Patient": false, "/": false, "/index.html": false, "/swagger/index.html": false, "/maintenance": false, "http://fhir.example.org/r4/Patient": false,
		"https://www.catalogin.example/fhir": false, "https://authority.example.org/fhir/": false, "/fhir/authors/r4": false,
	} {
		a, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}).Read(t.Context(), CountPatients(), secret.Value{})
		if err != nil || a.SignIn() != want {
			t.Errorf("%s: %v %v", location, a.SignIn(), err)
		}
	}
}
