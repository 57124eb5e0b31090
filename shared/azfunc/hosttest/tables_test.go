package hosttest_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/azfunc/hosttest"
)

// The tables here are what was measured in November 2026 on a Functions host 4.1037 (forwarding),
// and on YARP 2.1.0 and 2.3.0 under a program written after the newer host's source (proxying).
// Where only the source says it, the row says so.

// dial sends bytes to the host and reads the answer. The clients of net/http would clean the
// request first.
func dial(t *testing.T, url, request string) (*http.Response, string) {
	t.Helper()
	response, body, err := exchange(url, request)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	return response, body
}

func exchange(url, request string) (*http.Response, string, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	method, _, _ := strings.Cut(request, " ")
	go func() { _, _ = io.WriteString(conn, request) }() // the host may answer before it has read all
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// head returns a request without a body.
func head(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: client\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

// withBody returns a request with a body of known length.
func withBody(method, target, body string, lines ...string) string {
	return head(method, target, append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...) + body
}

var guid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// see returns what the handler got: the target, Host, the body, or the lines of a header. The
// address of the handler is {handler}, an invocation id is {id}, and what did not arrive is "none".
func see(t *testing.T, what, answer string) string {
	t.Helper()
	var a arrival
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		return "no arrival: " + answer
	}
	var got string
	switch what {
	case "target":
		got = a.Target
	case "Host":
		got = a.Host
	case "body":
		got = a.Body
	default:
		lines, ok := a.Header[http.CanonicalHeaderKey(what)]
		if !ok {
			return "none"
		}
		got = strings.Join(lines, " | ")
	}
	for _, variable := range a.Env {
		if port, ok := strings.CutPrefix(variable, "FUNCTIONS_CUSTOMHANDLER_PORT="); ok {
			got = strings.ReplaceAll(got, "127.0.0.1:"+port, "{handler}")
		}
	}
	return guid.ReplaceAllString(got, "{id}")
}

// host serves the usual script root without a front end before it.
func host(t *testing.T, mode string, change func(*hosttest.Host), settings ...string) (*hosttest.Host, string) {
	t.Helper()
	h := &hosttest.Host{Root: scriptRoot(t, mode, nil), Settings: settings, NoFrontEnd: true}
	if change != nil {
		change(h)
	}
	return h, hosttest.Serve(t, h)
}

func early(h *hosttest.Host) { h.EarlyProxying = true }

// How requests arrive at the handler.
func TestRequests(t *testing.T) {
	const agent = "Azure-Functions-Host/" + hosttest.Version
	tests := []struct {
		request                     string
		what                        string
		proxying, early, forwarding string // "=": as proxying
	}{
		{head("GET", "/api/all"), "Host", "{handler}", "client", "client"},
		{head("GET", "/api/all", "X-Forwarded-For: 203.0.113.9"), "X-Forwarded-For", "127.0.0.1", "203.0.113.9", "203.0.113.9"},
		{head("GET", "/api/all", "X-Forwarded-Host: x"), "X-Forwarded-Host", "client", "x", "x"},
		{head("GET", "/api/all", "X-Forwarded-Proto: https"), "X-Forwarded-Proto", "https", "=", "="},
		{head("GET", "/api/all"), "X-Forwarded-Proto", "http", "none", "none"},
		{head("GET", "/api/all", "Forwarded: for=x"), "Forwarded", "none", "=", "for=x"},
		{head("GET", "/api/all", "X-Forwarded-Prefix: /x"), "X-Forwarded-Prefix", "none", "=", "/x"},
		{head("GET", "/api/all", "Connection: x"), "Connection", "none", "=", "x"},
		{head("GET", "/api/all", "TE: trailers"), "TE", "none", "=", "trailers"},
		{head("GET", "/api/all", "Upgrade: x"), "Upgrade", "none", "=", "x"},
		{head("GET", "/api/all", "X-Azure-Functions-InvocationId: spoof"), "X-Azure-Functions-InvocationId", "{id}", "=", "spoof, {id}"},
		{head("GET", "/api/all", "x-ms-invocation-id: spoof"), "x-ms-invocation-id", "{id}", "=", "spoof"},
		{head("GET", "/api/all"), "X-Azure-Functions-HostVersion", hosttest.Version, "=", "="},
		{head("GET", "/api/all", "User-Agent: curl/8"), "User-Agent", "curl/8", "=", "curl/8 " + agent},
		{head("GET", "/api/all", "Cookie: a=1", "Cookie: b=2"), "Cookie", "a=1; b=2", "=", "="},
		{head("GET", "/api/all", "X-List: a", "X-List: b"), "X-List", "a, b", "=", "="},
		{withBody("POST", "/api/all", "x", "Content-Encoding: gzip"), "Content-Encoding", "gzip", "=", "none"},
		{withBody("POST", "/api/all", "x", "Content-Language: en"), "Content-Language", "en", "=", "none"},
		{withBody("POST", "/api/all", "x", "Content-Type: text/plain"), "Content-Type", "text/plain", "=", "="},
		{head("GET", "/api/all", "Content-Type: text/plain"), "Content-Type", "text/plain", "=", "none"},
		{withBody("POST", "/api/all", "body", "If-Match: *"), "If-Match", "*", "=", "="},

		{head("GET", "/api/echo/a%2Fb"), "target", "/api/echo/a%252Fb", "=", "/api/echo/a%2Fb"},
		{head("GET", "/api/echo/a%5Cb"), "target", "/api/echo/a%5Cb", "=", "/api/echo/a/b"},
		{head("GET", `/api/echo/a\b`), "target", "/api/echo/a%5Cb", "=", "/api/echo/a/b"},
		{head("GET", "/api/echo/a%255Cb"), "target", "/api/echo/a%255Cb", "=", "/api/echo/a%5Cb"},
		{head("GET", "/api/echo/a%3Fb"), "target", "/api/echo/a%3Fb", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%23b"), "target", "/api/echo/a%23b", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%20"), "target", "/api/echo/a%20", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%09"), "target", "/api/echo/a%09", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%0a"), "target", "/api/echo/a%0A", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%0d"), "target", "/api/echo/a%0D", "=", "/api/echo/a"},
		{head("GET", "/api/echo/a%20b"), "target", "/api/echo/a%20b", "=", "="},
		{head("GET", "/api/echo/%C3%A4/b"), "target", "/api/echo/%C3%A4/b", "=", "="},
		{head("GET", "/api/echo/a%252Fb"), "target", "/api/echo/a%252Fb", "=", "/api/echo/a%2Fb"},
		{head("GET", "/api/echo/a%2541b"), "target", "/api/echo/a%2541b", "=", "/api/echo/aAb"},
		{head("GET", "/api/echo/a%41b"), "target", "/api/echo/aAb", "=", "="}, // source
		{head("GET", "/api/echo/a%3Bb"), "target", "/api/echo/a;b", "=", "="}, // source
		{head("GET", "/api/echo/100%25"), "target", "/api/echo/100%25", "=", "="},
		{head("GET", "/API/Echo/A/"), "target", "/API/Echo/A/", "=", "="},
		{head("GET", "/api/all/../echo/a"), "target", "/api/echo/a", "=", "="},
		{head("GET", "/api/all/%2e%2e/echo/a"), "target", "/api/echo/a", "=", "="},
		{head("GET", "/api/./echo/%2E/a"), "target", "/api/echo/a", "=", "="},
		{head("GET", "http://other/api/echo/a?b"), "target", "/api/echo/a?b", "=", "/api/echo/a?b="},

		{head("GET", "/api/all?a=1&a=2"), "target", "/api/all?a=1&a=2", "=", "/api/all?a=1,2"},
		{head("GET", "/api/all?a=1&b=2&A=3"), "target", "/api/all?a=1&b=2&A=3", "=", "/api/all?a=1,3&b=2"},
		{head("GET", "/api/all?a"), "target", "/api/all?a", "=", "/api/all?a="},
		{head("GET", "/api/all?q=a+b"), "target", "/api/all?q=a+b", "=", "/api/all?q=a%20b"},
		{head("GET", "/api/all?q=a%3Bb"), "target", "/api/all?q=a%3Bb", "=", "/api/all?q=a;b"},
		{head("GET", "/api/all?q=%2C%21%2A%28%29%40%24"), "target", "/api/all?q=%2C%21%2A%28%29%40%24", "=", "/api/all?q=,!*()@$"},
		{head("GET", "/api/all?a=b=c&&d=%zz&e=%2F%3F"), "target", "/api/all?a=b=c&&d=%zz&e=%2F%3F", "=", "/api/all?a=b%3Dc&d=%25zz&e=%2F%3F"},

		{withBody("POST", "/api/all", "body"), "body", "body", "=", "="},
		{withBody("GET", "/api/all", "body"), "body", "body", "=", "="},
		{withBody("DELETE", "/api/all", "body"), "body", "body", "=", "="},
		{head("POST", "/api/all", "Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n", "body", "body", "=", "500"},
	}
	for name, start := range map[string]func() string{
		"proxying":       func() string { _, url := host(t, proxying, nil); return url },
		"early proxying": func() string { _, url := host(t, proxying, early); return url },
		"forwarding":     func() string { _, url := host(t, forwarding, nil); return url },
	} {
		url := start()
		for _, tt := range tests {
			want := map[string]string{"proxying": tt.proxying, "early proxying": tt.early, "forwarding": tt.forwarding}[name]
			if want == "=" {
				want = tt.proxying
			}
			response, body := dial(t, url, tt.request)
			got := fmt.Sprint(response.StatusCode)
			if response.StatusCode == http.StatusOK {
				got = see(t, tt.what, body)
			} else if body != "" {
				t.Errorf("%s: %q has the body %q", name, tt.request, body)
			}
			if got != want {
				t.Errorf("%s: %q: %s is %q, want %q", name, tt.request, tt.what, got, want)
			}
		}
	}
}

// What the host answers itself, in both modes.
func TestRefusedRequests(t *testing.T) {
	tests := []struct {
		request string
		want    int
	}{
		{head("GET", "/api//all"), 404},
		{head("GET", "//api/all"), 404},
		{head("GET", "/api/all//"), 404},
		{head("GET", "/api/../timer"), 404},
		{head("GET", "/api/echo/a%00b"), 400},
		{head("GET", "/api/echo/\xc3\xa4"), 400},
		{head("GET", "/api/all?\xc3\xa4"), 400},
		{head("GET", "/api/all?"+strings.Repeat("a", 8<<10)), 414},
		{head("GET", "/api/all?"+strings.Repeat("a", 7<<10)), 200},
		{head("GET", "/api/all", "X-Long: "+strings.Repeat("a", 32<<10)), 431},
		{head("GET", "/api/all", "X-Long: "+strings.Repeat("a", 31<<10)), 200},
		{head("GET", "/api/all", "X-Name: \xc3\xa4"), 500},
		{head("GET", "/elsewhere", "Origin: https://front.example"), 404},
		{head("OPTIONS", "/api/a/b", "Origin: https://front.example", "Access-Control-Request-Method: PUT"), 404},
	}
	both(t, func(t *testing.T, url string) {
		for _, tt := range tests {
			response, body := dial(t, url, tt.request)
			if response.StatusCode != tt.want || tt.want != 200 && body != "" || response.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%.60q: %s %q, want %d", tt.request, response.Status, body, tt.want)
			}
		}
	})
}

// The host reads a body of known length before it calls the handler, up to 100 MB.
func TestLargeBodies(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		if response, body := dial(t, url, head("POST", "/api/all", fmt.Sprintf("Content-Length: %d", 100<<20+1))); response.StatusCode != 500 || body != "" {
			t.Errorf("above 100 MB: %s %q", response.Status, body)
		}
		// A handler that answers at once and closes: the host still writes, and does not look at the
		// answer.
		if response, body := dial(t, url, withBody("POST", "/api/hasty", strings.Repeat("x", 20_000_000))); response.StatusCode != 500 || body != "" {
			t.Errorf("a handler that does not read 20 MB: %s %q", response.Status, body)
		}
		if response, _ := dial(t, url, head("POST", "/api/hasty", "Content-Length: 0")); response.StatusCode != 413 {
			t.Errorf("a handler that has nothing to read: %s", response.Status)
		}
	})
}

// A request that the handler does not answer is delivered again; in the end the client gets an
// empty 500.
func TestFailures(t *testing.T) {
	const content = "Content-Length: 0"
	tests := []struct {
		request              string
		proxying, forwarding int // deliveries
	}{
		{head("GET", "/api/close"), 40, 4},
		{head("HEAD", "/api/close"), 40, 4},
		{head("DELETE", "/api/close"), 40, 4},
		{head("OPTIONS", "/api/close"), 40, 4},
		{head("POST", "/api/close", content), 10, 4},
		{head("PUT", "/api/close", content), 10, 4},
		{head("GET", "/api/reset"), 10, 1},
		{head("DELETE", "/api/reset"), 10, 1},
		{withBody("POST", "/api/close", "x"), 1, 1},
		{withBody("DELETE", "/api/close", "x"), 1, 1},
		{withBody("POST", "/api/reset", "x"), 1, 1},
	}
	for name, mode := range map[string]string{"proxying": proxying, "forwarding": forwarding} {
		t.Run(name, func(t *testing.T) {
			var waiting sync.WaitGroup
			defer waiting.Wait()
			for _, tt := range tests {
				want := map[string]int{proxying: tt.proxying, forwarding: tt.forwarding}[mode]
				count := filepath.Join(t.TempDir(), "deliveries")
				_, url := host(t, mode, nil, "DELIVERIES="+count)
				waiting.Go(func() {
					response, body, err := exchange(url, tt.request)
					if err != nil {
						t.Errorf("%q: %v", tt.request, err)
						return
					}
					if n := size(t, count); response.StatusCode != 500 || body != "" || n != want {
						t.Errorf("%q: %s %q after %d deliveries, want %d", tt.request, response.Status, body, n, want)
					}
				})
			}
		})
	}
}

func size(t *testing.T, file string) int {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Error(err)
		return 0
	}
	return int(info.Size())
}

// An answer that comes in the end is the client's.
func TestLaterDeliveryIsAnswered(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		if response, _ := dial(t, url, head("DELETE", "/api/third")); response.StatusCode != 200 {
			t.Errorf("%s", response.Status)
		}
	}, "DELIVERIES="+filepath.Join(t.TempDir(), "deliveries"))
}

// A process that dies is replaced on the same port. So under proxying the next delivery of a
// request without a body reaches the new process; the third death within half an hour ends the
// host.
func TestDeaths(t *testing.T) {
	for name, tt := range map[string]struct {
		mode, request      string
		status, deliveries int
		dead               bool
	}{
		"once, proxying":                {proxying, head("GET", "/api/die-once"), 200, 2, false},
		"once, forwarding":              {forwarding, head("GET", "/api/die-once"), 500, 1, false},
		"once, with a body":             {proxying, withBody("POST", "/api/die-once", "x"), 500, 1, false},
		"every time, proxying":          {proxying, head("GET", "/api/die"), 500, 3, true},
		"every time, forwarding":        {forwarding, head("GET", "/api/die"), 500, 1, false},
		"every time, with a body, once": {proxying, withBody("POST", "/api/die", "x"), 500, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := filepath.Join(t.TempDir(), "deliveries")
			h, url := host(t, tt.mode, nil, "DELIVERIES="+count)
			_, before := dial(t, url, head("GET", "/api/all"))
			response, _ := dial(t, url, tt.request)
			if n := size(t, count); response.StatusCode != tt.status || n != tt.deliveries {
				t.Errorf("%s after %d deliveries, want %d after %d", response.Status, n, tt.status, tt.deliveries)
			}
			if tt.dead {
				until(t, "the end of the host", func() bool { return h.Down() != nil })
				return
			}
			until(t, "a restart", func() bool { return h.Starts() == 2 })
			if _, after := dial(t, url, head("GET", "/api/all")); port(t, after) != port(t, before) {
				t.Errorf("the port was %s, and is %s", port(t, before), port(t, after))
			}
		})
	}
}

func port(t *testing.T, answer string) string {
	t.Helper()
	port := regexp.MustCompile(`FUNCTIONS_CUSTOMHANDLER_PORT=\d+`).FindString(answer)
	if port == "" {
		t.Fatalf("no arrival: %s", answer)
	}
	return port
}

// A handler that does not listen: forwarding gives up at once, proxying after 10 tries in 1.87 s.
func TestHandlerThatDoesNotListen(t *testing.T) {
	for mode, want := range map[string]time.Duration{forwarding: 0, proxying: 1850 * time.Millisecond} {
		_, url := host(t, mode, nil)
		dial(t, url, head("POST", "/api/exit?code=0", "Content-Length: 0")) // the host starts no other
		begun := time.Now()
		response, body := dial(t, url, head("GET", "/api/all"))
		if took := time.Since(begun); response.StatusCode != 500 || body != "" || took < want || took > want+time.Second {
			t.Errorf("%s: %s %q after %v", mode, response.Status, body, took)
		}
	}
}

// A handler that hangs: proxying gives up after 240 s and leaves it alone, forwarding only ends
// with functionTimeout.
func TestHandlerThatHangs(t *testing.T) {
	h, url := host(t, proxying, func(h *hosttest.Host) { h.ActivityTimeout = 300 * time.Millisecond })
	pid := h.PID()
	if response, body := dial(t, url, head("GET", "/api/hang")); response.StatusCode != 500 || body != "" || h.PID() != pid {
		t.Errorf("%s %q", response.Status, body)
	}
}

// A client that goes away: proxying closes its connection to the handler, forwarding waits for the
// answer.
func TestClientThatGoesAway(t *testing.T) {
	for mode, told := range map[string]bool{proxying: true, forwarding: false} {
		gone := filepath.Join(t.TempDir(), "gone")
		_, url := host(t, mode, nil, "GONE="+gone)
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, head("GET", "/api/watch")); err != nil {
			t.Fatal(err)
		}
		until(t, "the request", func() bool { _, err := os.Stat(gone); return err == nil })
		conn.Close()
		if told {
			until(t, "the end of the connection", func() bool { return size(t, gone) > 0 })
			continue
		}
		time.Sleep(300 * time.Millisecond)
		if size(t, gone) > 0 {
			t.Error("a forwarding host told the handler that the client is gone")
		}
	}
}

// What becomes of answers. Requests go to a handler that writes the answer's bytes as they stand
// here.
func TestAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	tests := []struct {
		answer               string
		see                  string // the answer's header
		proxying, forwarding string // the values, or the status
	}{
		{ok + "X: \xc3\xa4\r\n\r\nok", "X", "500", "500"},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "X", "500", "500"},
		{"HTTP/1.1 204 No Content\r\nX: a\r\n\r\n", "X", "a", "a"},
		{ok + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\nok", "X", "500", "500"},
		{ok + "X: a\r\nY: " + strings.Repeat("a", 60<<10) + "\r\n\r\nok", "X", "a", "a"},
		{"HTTP/1.1 103 Early Hints\r\nX: early\r\n\r\n" + ok + "X: late\r\n\r\nok", "X", "late", "late"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: a\r\n\r\n", "X", "none", "none"},
		{ok + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok", "Set-Cookie", "a=1 | b=2", "a=1 | b=2"},
		{ok + "Allow: GET, HEAD\r\n\r\nok", "Allow", "GET, HEAD", "GET | HEAD"},
		{ok + "Vary: Origin, Accept\r\n\r\nok", "Vary", "Origin, Accept", "Origin | Accept"},
		{ok + "Access-Control-Expose-Headers: ETag, Location\r\n\r\nok", "Access-Control-Expose-Headers", "ETag, Location", "ETag, Location"},
	}
	for sent, forwarded := range map[string]string{
		"https://x":               "https://x/",
		"https://x/":              "https://x/",
		"myapp://cb?x":            "myapp://cb/?x",
		"http://127.0.0.1:1?code": "http://127.0.0.1:1/?code",
		"x y":                     "x%20y",
		"https://x/a b":           "https://x/a%20b",
		"https://x/%7E%41":        "https://x/~A",
		"https://x/{}|^":          "https://x/%7B%7D%7C%5E",
		"https://x/a/../b/./c":    "https://x/b/c",
		"https://x:443/a":         "https://x/a",
		"http://x:80":             "http://x/",
		"HTTPS://Example.ORG/Ab":  "https://example.org/Ab",

		"com.example.app:/cb?code=a":         "com.example.app:/cb?code=a",
		"com.example.app://cb/x?code=a":      "com.example.app://cb/x?code=a",
		"http://[::1]:1234/cb?code=a":        "http://[::1]:1234/cb?code=a",
		"/api/links/a?b=c#d":                 "/api/links/a?b=c#d",
		"../a":                               "../a",
		"https://app.example.org/cb?a=%2F&b": "https://app.example.org/cb?a=%2F&b",
	} {
		tests = append(tests, struct{ answer, see, proxying, forwarding string }{ok + "Location: " + sent + "\r\n\r\nok", "Location", sent, forwarded})
	}
	for name, mode := range map[string]string{"proxying": proxying, "forwarding": forwarding} {
		_, url := host(t, mode, nil)
		for _, tt := range tests {
			want := map[string]string{"proxying": tt.proxying, "forwarding": tt.forwarding}[name]
			line := "X-Answer: " + base64.StdEncoding.EncodeToString([]byte(tt.answer))
			if len(line) > 16<<10 { // the host takes 32 KB of headers
				file := filepath.Join(t.TempDir(), "answer")
				if err := os.WriteFile(file, []byte(tt.answer), 0o600); err != nil {
					t.Fatal(err)
				}
				line = "X-Answer-File: " + file
			}
			response, body := dial(t, url, head("GET", "/api/raw", line))
			got := "none"
			if values, ok := response.Header[tt.see]; ok {
				got = strings.Join(values, " | ")
			}
			if response.StatusCode == 500 {
				got = "500" + body
			}
			if got != want || response.Trailer != nil {
				t.Errorf("%s: %.90q: %.90s, want %.90s", name, tt.answer, got, want)
			}
		}
	}
}

// The host's page at / can be switched off.
func TestHomepage(t *testing.T) {
	_, url := host(t, proxying, nil, "AzureWebJobsDisableHomepage=true")
	if response, body := dial(t, url, head("GET", "/")); response.StatusCode != 204 || body != "" {
		t.Errorf("%s %q", response.Status, body)
	}
}

// Under forwarding a path can leave its route, and so can one whose scheme a client chose by a
// header that a host without a front end believes.
func TestHoles(t *testing.T) {
	tests := []struct {
		request              string
		proxying, forwarding string // what arrives, or the status
	}{
		{head("POST", "/api/echo/..%5C..%5Ctimer"), "/api/echo/..%5C..%5Ctimer", "/timer"},
		{head("POST", "/api/echo/..%5c..%5c..%5ctimer"), "/api/echo/..%5C..%5C..%5Ctimer", "/timer"},
		{head("POST", `/api/echo/..\..\timer`), "/api/echo/..%5C..%5Ctimer", "/timer"},
		{head("POST", "/api/echo/%252e%252e%5C%252E.%5Ctimer"), "/api/echo/%252e%252e%5C%252E.%5Ctimer", "/timer"},
		{head("POST", "/api/echo/..%5C..%5Ctimer%3Fa"), "/api/echo/..%5C..%5Ctimer%3Fa", "/timer"},
		{head("POST", "/api/echo/..%5C..%5Ctimer?a=b"), "/api/echo/..%5C..%5Ctimer?a=b", "/timer?a=b"},
		{head("POST", "http://other/api/echo/..%5C..%5Ctimer"), "/api/echo/..%5C..%5Ctimer", "/timer"},
		{head("POST", "/api/echo/..%2F..%2Ftimer"), "/api/echo/..%252F..%252Ftimer", "/api/echo/..%2F..%2Ftimer"},
		{head("POST", "/api/echo/..%255C..%255Ctimer"), "/api/echo/..%255C..%255Ctimer", "/api/echo/..%5C..%5Ctimer"},
		{head("POST", "/api/echo/..%252F..%252Ftimer"), "/api/echo/..%252F..%252Ftimer", "/api/echo/..%2F..%2Ftimer"},
		{head("POST", "/api/all", "X-Forwarded-Proto: http://e/timer?"), "/api/all", "/timer"},
		{head("POST", "/api/all", "DISGUISED-HOST: e/timer?"), "/api/all", "400"},
		{head("POST", "/api/echo/..%5Call"), "/api/echo/..%5Call", "/api/all"},
	}
	for name, mode := range map[string]string{"proxying": proxying, "forwarding": forwarding} {
		_, url := host(t, mode, nil)
		for _, tt := range tests {
			want := map[string]string{"proxying": tt.proxying, "forwarding": tt.forwarding}[name]
			response, body := dial(t, url, strings.Replace(tt.request, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1))
			got := fmt.Sprint(response.StatusCode)
			var answer struct {
				Outputs struct{ Arrived json.RawMessage }
			}
			switch {
			case response.StatusCode != 200:
			case json.Unmarshal([]byte(body), &answer) == nil && answer.Outputs.Arrived != nil: // of the timer's function
				got = see(t, "target", string(bytes.TrimSpace(answer.Outputs.Arrived)))
			default:
				got = see(t, "target", body)
			}
			if got != want {
				t.Errorf("%s: %q arrives as %s, want %s", name, tt.request, got, want)
			}
		}
	}
}

// The front end of App Service, as AppServiceHeaderFixupMiddleware expects it.
func TestFrontEndSaysWhoCalls(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := arrived(t, request(t, "GET", url+"/api/all", "", "X-Forwarded-For: 203.0.113.9"))
		if a.Header.Get("X-Forwarded-Proto") != "https" || a.Header.Get("DISGUISED-HOST") != strings.TrimPrefix(url, "http://") || a.Header.Get("X-ARR-LOG-ID") == "" {
			t.Errorf("%v", a.Header)
		}
	})
	_, url := serve(t, forwarding)
	a := arrived(t, request(t, "GET", url+"/api/all", "", "X-Forwarded-For: 203.0.113.9"))
	if got := a.Header.Get("X-Forwarded-For"); !strings.HasPrefix(got, "203.0.113.9, 127.0.0.1:") {
		t.Errorf("X-Forwarded-For: %s", got)
	}
}
