package httpx_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// lines parses a log.
func lines(t *testing.T, log *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for dec := json.NewDecoder(log); ; {
		var line map[string]any
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
}

func TestCorrelate(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		want   any
	}{
		{"none", nil, nil},
		{"proxied", []string{"9a0f4e7c-0a63-4c1a-9a51-7a1d2c3b4e55"}, "9a0f4e7c-0a63-4c1a-9a51-7a1d2c3b4e55"},
		{"forwarded: the client's stands first", []string{"spoofed", "real"}, "real"},
		{"joined", []string{"spoofed, real"}, "real"},
		{"not an id", []string{"a b"}, nil},
		{"too long", []string{strings.Repeat("a", 65)}, nil},
		{"line break", []string{"a\r\nb"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			log := eventlog.New(&out, slog.LevelInfo)
			var ids []string
			h := httpx.Correlate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				log.InfoContext(r.Context(), "x")
				ids = append(ids, problem.Correlation(r.Context()))
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["X-Azure-Functions-Invocationid"] = tt.header
			h.ServeHTTP(httptest.NewRecorder(), r)
			h.ServeHTTP(httptest.NewRecorder(), r)
			if ids[0] == "" || ids[0] == ids[1] {
				t.Errorf("correlation ids %q", ids)
			}
			line := lines(t, &out)[0]
			if line["invocation"] != tt.want || line["correlation"] != ids[0] {
				t.Errorf("logged %v, want invocation %v and correlation %s", line, tt.want, ids[0])
			}
		})
	}
}

// The invocation id known from the host takes precedence over a header, which the client may have
// set.
func TestInvocationOfTheHost(t *testing.T) {
	var out bytes.Buffer
	log := eventlog.New(&out, slog.LevelInfo)
	h := httpx.Correlate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { log.InfoContext(r.Context(), "x") }))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Azure-Functions-InvocationId", "chosen-by-the-client")
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(eventlog.With(r.Context(), &eventlog.Work{Invocation: "the-hosts"})))
	if line := lines(t, &out)[0]; line["invocation"] != "the-hosts" {
		t.Errorf("%v", line)
	}
}

// Every line has a trace: the client's, else the host's, else a new one.
func TestCorrelateTraces(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	const hosts = "5759e988bd862e3fe1be46a994272793"
	tests := []struct {
		name, known string
		header      []string
		trace       string
		parent      any
	}{
		{"the client's", "", []string{"00-" + id + "-" + parent + "-01"}, id, parent},
		{"the client's before the host's", hosts, []string{"00-" + id + "-" + parent + "-01"}, id, parent},
		{"the host's", hosts, nil, hosts, nil},
		{"twice is never", hosts, []string{"00-" + id + "-" + parent + "-01", "00-" + id + "-" + parent + "-01"}, hosts, nil},
		{"a new one", "", nil, "", nil},
		{"a new one instead of rubbish", "", []string{"00-canary\r\n-" + parent + "-01"}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			log := eventlog.New(&out, slog.LevelInfo)
			correlation := ""
			h := httpx.Correlate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				log.InfoContext(r.Context(), "x")
				correlation = problem.Correlation(r.Context())
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Traceparent"] = tt.header
			h.ServeHTTP(httptest.NewRecorder(), r.WithContext(eventlog.With(r.Context(), &eventlog.Work{Trace: eventlog.Trace{ID: tt.known}})))
			want := cmp.Or(tt.trace, strings.ReplaceAll(correlation, "-", ""))
			if line := lines(t, &out)[0]; line["trace"] != want || line["parent"] != tt.parent {
				t.Errorf("logged %v, want trace %s and parent %v", line, want, tt.parent)
			}
		})
	}
}

// The line says how the request ended and which services were called.
func TestAccessLogSaysWhatWasNoted(t *testing.T) {
	var out bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("/well", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/refused", func(w http.ResponseWriter, r *http.Request) {
		work := eventlog.Current(r.Context())
		work.Called("vault", time.Millisecond, true)
		work.End("upstream_unavailable")
		work.Find("aadsts_7000222", false)
		w.WriteHeader(503)
	})
	mux.HandleFunc("/unsaid", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) })
	h := httpx.Correlate(httpx.AccessLog(eventlog.New(&out, slog.LevelInfo), mux))
	for _, target := range []string{"/well", "/refused", "/unsaid"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	all := lines(t, &out)
	for i, want := range []string{"ok", "upstream_unavailable", "http_418"} {
		if all[i]["outcome"] != want {
			t.Errorf("%v, want outcome %s", all[i], want)
		}
	}
	if all[0]["calls"] != nil || all[0]["finding"] != nil {
		t.Errorf("nothing was called: %v", all[0])
	}
	calls, _ := all[1]["calls"].(map[string]any)
	failed, _ := all[1]["failedCalls"].(map[string]any)
	if calls["vault"] != 1.0 || failed["vault"] != 1.0 || all[1]["finding"] != "aadsts_7000222" {
		t.Errorf("%v", all[1])
	}
}

func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("/links/{slug}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418); w.WriteHeader(500) })
	mux.HandleFunc("/body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	mux.HandleFunc("/nothing", func(http.ResponseWriter, *http.Request) {})
	h := httpx.AccessLog(eventlog.New(&out, slog.LevelInfo), mux)
	for _, target := range []string{"/links/canary?code=canary", "/body", "/nothing"} {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Authorization", "canary")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("too much is logged: %s", &out)
	}
	want := []struct {
		route  string
		status float64
	}{{"/links/{slug}", 418}, {"/body", 200}, {"/nothing", 200}}
	for i, line := range lines(t, &out) {
		if line["msg"] != "request" || line["method"] != "GET" || line["route"] != want[i].route || line["status"] != want[i].status || line["ms"] == nil {
			t.Errorf("line %d: %v, want %v", i, line, want[i])
		}
	}
}

func TestHandle(t *testing.T) {
	tests := []struct {
		name   string
		handle httpx.HandlerFunc
		status int
		code   string
		logged bool
	}{
		{"answer", func(w http.ResponseWriter, _ *http.Request) error { return httpx.WriteJSON(w, 201, "<&>") }, 201, "<&>", false},
		{"error", func(http.ResponseWriter, *http.Request) error { return problem.New(problem.SlugTaken, "") }, 409, "slug_taken", false},
		{"panic", func(http.ResponseWriter, *http.Request) error { panic("canary") }, 500, "internal", true},
		{"panic with an error", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, 500, "internal", true},
		{"panic after the answer", func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(202); panic("canary") }, 202, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			log := eventlog.New(&out, slog.LevelError)
			w := httptest.NewRecorder()
			httpx.AccessLog(log, httpx.Handle(log, tt.handle, problem.Write)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) || tt.code == "" && w.Body.Len() > 0 {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			if strings.Contains(w.Body.String()+out.String(), "canary") {
				t.Errorf("the panic's value came out: %s %s", w.Body, &out)
			}
			if logged := strings.Contains(out.String(), `"stack":"goroutine`); logged != tt.logged {
				t.Errorf("stack logged: %t, want %t: %s", logged, tt.logged, &out)
			}
		})
	}
}

// Safe answers what panics outside Handle, and lets an answer that there is already pass.
func TestSafe(t *testing.T) {
	tests := []struct {
		name   string
		handle http.HandlerFunc
		status int
		text   string
	}{
		{"answer", func(w http.ResponseWriter, _ *http.Request) { httpx.WriteBytes(w, 201, "text/plain", []byte("here")) }, 201, "here"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 200, ""},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("canary") }, 500, `"code":"internal"`},
		{"abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 500, `"code":"internal"`},
		{"panic after the answer", func(w http.ResponseWriter, _ *http.Request) {
			httpx.WriteBytes(w, 202, "text/plain", []byte("done"))
			panic("canary")
		}, 202, "done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			server := httptest.NewServer(httpx.Safe(eventlog.New(&out, slog.LevelError), tt.handle))
			defer server.Close()
			response, err := http.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != tt.status || !strings.Contains(string(body), tt.text) || strings.Contains(string(body)+out.String(), "canary") {
				t.Errorf("%s %s, %v; %s", response.Status, body, err, &out)
			}
		})
	}
}

// Hosts answer an empty 500 in place of a header that is not ASCII.
func TestSafeMakesHeadersASCII(t *testing.T) {
	for name, finish := range map[string]func(http.ResponseWriter){
		"status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"body":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
		"end":    func(http.ResponseWriter) {},
	} {
		w := httptest.NewRecorder()
		httpx.Safe(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/Ä?a=b%20c")
			w.Header()["X-Several"] = []string{"plain", "\xff"}
			finish(w)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		got := w.Result().Header
		if got.Get("Location") != "/%C3%84?a=b%20c" || !slices.Equal(got["X-Several"], []string{"plain", "%FF"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWriteJSONSaysHowLongItIs(t *testing.T) {
	w := httptest.NewRecorder()
	if err := httpx.WriteJSON(w, 200, strings.Repeat("é", 10_000)); err != nil || w.Header().Get("Content-Length") != "20003" || w.Body.Len() != 20_003 {
		t.Errorf("%v, %v, %d bytes", err, w.Header(), w.Body.Len())
	}
}

func TestWriteJSONFailsBeforeWriting(t *testing.T) {
	w := httptest.NewRecorder()
	if err := httpx.WriteJSON(w, 200, func() {}); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("err = %v, %v %s", err, w.Header(), w.Body)
	}
}

func TestLimitBody(t *testing.T) {
	var read error
	h := httpx.LimitBody(httpx.MaxBody, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, read = io.ReadAll(r.Body) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", io.LimitReader(endless{}, httpx.MaxBody)))
	if read != nil {
		t.Errorf("at the limit: %v", read)
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", io.LimitReader(endless{}, httpx.MaxBody+1)))
	if want := new(http.MaxBytesError); !errors.As(read, &want) {
		t.Errorf("over the limit: %v", read)
	}
	_, err := httpx.ReadBody(&http.Request{Body: http.MaxBytesReader(nil, io.NopCloser(endless{}), 10), ContentLength: -1})
	if problem.CodeOf(err) != problem.BodyTooLarge {
		t.Errorf("ReadBody behind a smaller limit: %v", err)
	}
}

// TestDrain: a client that sends a large body completely before it reads still gets its answer,
// and an endless body soon ends the connection.
func TestDrain(t *testing.T) {
	tooLarge := httpx.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := httpx.ReadBody(r)
		return err
	})
	unread := httpx.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return problem.New(problem.Unauthenticated, "Who?") })
	for _, tt := range []struct {
		name    string
		handle  httpx.HandlerFunc
		header  string // of the request, besides Host
		size    int64  // of the body
		chunked bool
		status  string
	}{
		{"20 MB", tooLarge, "", 20_000_000, false, "413"},
		{"20 MB in chunks", tooLarge, "", 20_000_000, true, "413"},
		{"20 MB for nobody", unread, "", 20_000_000, false, "401"},
		{"a body that waits for 100 Continue", unread, "Expect: 100-continue\r\n", 0, false, "401"},
		{"20 MB after 100 Continue", tooLarge, "Expect: 100-continue\r\n", 20_000_000, true, "413"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, httpx.Correlate(httpx.Drain(httpx.LimitBody(httpx.MaxBody, httpx.Handle(slog.New(slog.DiscardHandler), tt.handle, problem.Write)))))
			length := "Content-Length: 20000000"
			if tt.chunked {
				length = "Transfer-Encoding: chunked"
			}
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s%s\r\n\r\n", tt.header, length)
			var to io.Writer = conn
			if tt.chunked {
				to = httputil.NewChunkedWriter(conn)
			}
			if n, err := io.CopyN(to, endless{}, tt.size); err != nil {
				t.Fatalf("the connection ended after %d bytes: %v", n, err)
			}
			if tt.chunked {
				fmt.Fprint(conn, "0\r\n\r\n")
			}
			answers := bufio.NewReader(conn)
			answer, err := http.ReadResponse(answers, nil)
			if err == nil && answer.StatusCode == http.StatusContinue {
				answer, err = http.ReadResponse(answers, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if body, err := io.ReadAll(answer.Body); err != nil || !strings.HasPrefix(answer.Status, tt.status) || !strings.Contains(string(body), `"code"`) {
				t.Errorf("%s %s %v", answer.Status, body, err)
			}
		})
	}
	t.Run("endless", func(t *testing.T) {
		conn := dial(t, httpx.Correlate(httpx.Drain(httpx.Handle(slog.New(slog.DiscardHandler), tooLarge, problem.Write))))
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
		n, err := io.CopyN(conn, endless{}, 1_000_000_000)
		if err == nil {
			t.Errorf("%d bytes were taken", n)
		}
	})
	t.Run("dawdling", func(t *testing.T) {
		conn := dial(t, httpx.Correlate(httpx.Drain(httpx.Handle(slog.New(slog.DiscardHandler), unread, problem.Write))))
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
			t.Errorf("%s, %v", answer, err)
		}
	})
}

// dial connects to a server that serves h without limits.
func dial(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestCORS(t *testing.T) {
	const good = "https://app.contoso.com"
	tests := []struct {
		name, method  string
		origins       []string
		preflight     bool
		allow, expose string
	}{
		{"simple", "GET", []string{good}, false, good, "ETag, Location, Retry-After, WWW-Authenticate, X-Correlation-Id"},
		{"preflight", "OPTIONS", []string{good}, true, good, ""},
		{"OPTIONS without being one", "OPTIONS", []string{good}, false, good, "ETag, Location, Retry-After, WWW-Authenticate, X-Correlation-Id"},
		{"no origin", "GET", nil, false, "", ""},
		{"other origin", "GET", []string{"https://evil.example"}, false, "", ""},
		{"other scheme", "GET", []string{"http://app.contoso.com"}, false, "", ""},
		{"other port", "GET", []string{good + ":444"}, false, "", ""},
		{"subdomain", "GET", []string{"https://x.app.contoso.com"}, false, "", ""},
		{"suffix", "GET", []string{good + ".evil.example"}, false, "", ""},
		{"null", "GET", []string{"null"}, false, "", ""},
		{"two", "GET", []string{good, good}, false, "", ""},
		{"other origin's preflight", "OPTIONS", []string{"https://evil.example"}, true, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", nil)
			r.Header["Origin"] = tt.origins
			if tt.preflight {
				r.Header.Set("Access-Control-Request-Method", "PATCH")
			}
			w := httptest.NewRecorder()
			httpx.CORS{Origins: []string{"http://localhost:3000", good}}.SetHeaders(w, r, "GET, PATCH")
			h := w.Header()
			if h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Origin") != tt.allow || h.Get("Access-Control-Expose-Headers") != tt.expose {
				t.Errorf("%v", h)
			}
			methods, headers := "", ""
			if tt.preflight && tt.allow != "" {
				methods, headers = "GET, PATCH", "Authorization, Content-Type, If-Match"
			}
			if h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Allow-Headers") != headers {
				t.Errorf("preflight: %v", h)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := httpx.NewRateLimit(60, 200, nil)
		for i := range 200 {
			if wait := limit.Take("a"); wait != 0 {
				t.Fatalf("request %d has to wait %s", i, wait)
			}
		}
		for range 10 { // refused requests take no token
			if wait := limit.Take("a"); wait <= 0 || wait > time.Second {
				t.Fatalf("wait = %s", wait)
			}
		}
		if wait := limit.Take("b"); wait != 0 {
			t.Errorf("another organization has to wait %s", wait)
		}
		time.Sleep(time.Second)
		if wait := limit.Take("a"); wait != 0 {
			t.Errorf("a second later: wait %s", wait)
		}
		if wait := limit.Take("a"); wait == 0 {
			t.Error("more than 60 a minute")
		}
	})
}

func TestNoRateLimit(t *testing.T) {
	var none *httpx.RateLimit
	if wait := none.Take("a"); wait != 0 {
		t.Errorf("wait = %s", wait)
	}
}

func TestRateLimitIsBounded(t *testing.T) {
	limit := httpx.NewRateLimit(1, 1, nil)
	limit.Take("first")
	for i := range 10_000 {
		limit.Take(string(rune(i)) + "x")
	}
	if wait := limit.Take("first"); wait != 0 {
		t.Error("organizations are remembered without a bound")
	}
}
