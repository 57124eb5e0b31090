package hosttest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fhirlink/shared/azfunc/hosttest"
)

// TestMain runs the tests or, as the file "handler" of a script root, a small custom handler.
func TestMain(m *testing.M) {
	if port := os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"); port != "" {
		handle(port)
		return
	}
	os.Exit(m.Run())
}

func handle(port string) {
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // the host kills with SIGKILL, which cannot be ignored
	switch start := os.Getenv("START"); {
	case strings.HasPrefix(start, "exit"):
		code, _ := strconv.Atoi(strings.TrimPrefix(start, "exit"))
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(code)
	case start == "never":
		select {}
	case start == "late":
		time.Sleep(150 * time.Millisecond)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", echo)
	mux.HandleFunc("/api/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("/api/teapot", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "short and stout", http.StatusTeapot) })
	mux.HandleFunc("/api/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/api/stream", stream)
	mux.HandleFunc("/api/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		os.Exit(code)
	})
	mux.HandleFunc("/api/close", breaking(0, false))
	mux.HandleFunc("/api/reset", breaking(0, true))
	mux.HandleFunc("/api/third", breaking(2, false))
	mux.HandleFunc("/api/die", func(http.ResponseWriter, *http.Request) {
		deliveries(1)
		os.Exit(3)
	})
	mux.HandleFunc("/api/die-once", func(w http.ResponseWriter, r *http.Request) {
		if deliveries(1) == 1 {
			os.Exit(3)
		}
		echo(w, r)
	})
	mux.HandleFunc("/api/watch", watch)
	mux.HandleFunc("/api/raw", raw)
	mux.HandleFunc("/api/hasty", hasty)
	mux.HandleFunc("/timer", func(w http.ResponseWriter, r *http.Request) {
		var arrived arrival
		arrived.take(r)
		payload, _ := json.Marshal(map[string]any{"Outputs": map[string]any{"arrived": arrived}, "Logs": []string{"ran"}})
		answer(200, "application/json", string(payload))(w, r)
	})
	mux.HandleFunc("/timer-fails", answer(500, "application/json", `{"Logs":["lost"]}`))
	mux.HandleFunc("/timer-empty", answer(200, "application/json", ""))
	mux.HandleFunc("/timer-null", answer(200, "application/json", "null"))
	mux.HandleFunc("/timer-text", answer(200, "text/plain; charset=utf-8", `{"Logs":[]}`))
	mux.HandleFunc("/timer-garbage", answer(200, "application/json", `{"Logs":5}`))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	fmt.Println("listening")
	fmt.Fprintln(os.Stderr, "a Warning")
	fmt.Fprintln(os.Stderr, "something else")
	log.Fatal(http.ListenAndServe(net.JoinHostPort("127.0.0.1", port), mux))
}

// deliveries counts the deliveries to all processes of a host, in a file that a setting names.
func deliveries(more int) int {
	file, err := os.OpenFile(os.Getenv("DELIVERIES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, more)); err != nil {
		log.Fatal(err)
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		log.Fatal(err)
	}
	return int(size)
}

// breaking reads a request and ends the connection without an answer. If answerAfter is not 0, it
// answers after that many deliveries.
func breaking(answerAfter int, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n := deliveries(1); answerAfter > 0 && n > answerAfter {
			echo(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			log.Fatal(err)
		}
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

// watch writes to the file that a setting names when the request has come, and when the client has
// gone.
func watch(_ http.ResponseWriter, r *http.Request) {
	for _, content := range []string{"", "gone"} {
		if err := os.WriteFile(os.Getenv("GONE"), []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
		<-r.Context().Done()
	}
}

// raw answers with the bytes that a header holds.
func raw(w http.ResponseWriter, r *http.Request) {
	answer, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Answer"))
	if err != nil {
		log.Fatal(err)
	}
	if file := r.Header.Get("X-Answer-File"); file != "" {
		if answer, err = os.ReadFile(file); err != nil {
			log.Fatal(err)
		}
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Fatal(err)
	}
	final := bytes.LastIndex(answer, []byte("HTTP/1.1 "))
	lines := bytes.Replace(answer[final:], []byte("\r\n"), []byte("\r\nConnection: close\r\n"), 1)
	_, _ = conn.Write(append(answer[:final:final], lines...))
	_ = conn.Close()
}

// hasty answers without reading the body, and closes.
func hasty(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_ = conn.Close()
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "first\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// arrival is what the handler received.
type arrival struct {
	Method, Target, Host, Body string
	Header                     http.Header
	Length                     int64
	Encoding                   []string
	Env                        []string
	Dir                        string
	Args                       []string
}

func (a *arrival) take(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	dir, _ := os.Getwd()
	*a = arrival{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength, r.TransferEncoding, os.Environ(), dir, os.Args[1:]}
}

func echo(w http.ResponseWriter, r *http.Request) {
	var a arrival
	a.take(r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

const (
	forwarding = `"enableForwardingHttpRequest": true`
	proxying   = `"enableForwardingHttpRequest": true, "enableProxyingHttpRequest": true`
)

// impatient is a setting for tests of invocations that never end.
const impatient = "AzureFunctionsJobHost__functionTimeout=00:00:00.4"

// scriptRoot creates a script root whose handler is this test binary. files adds to its files or
// replaces them.
func scriptRoot(t *testing.T, mode string, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"host.json": `{"version": "2.0", "functionTimeout": "00:01:00",
			"customHandler": {"description": {"defaultExecutablePath": "handler"}, "initializationTimeout": "00:00:05", ` + mode + `}}`,
		"echo/function.json":   httpFunction(`"route": "echo/{a?}/{b?}"`),
		"all/function.json":    httpFunction(`"route": "all"`),
		"some/function.json":   httpFunction(`"route": "some/methods", "methods": ["get", "POST"]`),
		"others/function.json": httpFunction(`"route": "{name}"`),
	}
	for _, name := range []string{"timer", "timer-fails", "timer-empty", "timer-null", "timer-text", "timer-garbage"} {
		all[name+"/function.json"] = `{"bindings": [{"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "0 * * * * *"}]}`
	}
	for name, content := range files {
		all[name] = content
	}
	dir := t.TempDir()
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "handler")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func httpFunction(properties string) string {
	return `{"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", ` + properties + `},
		{"type": "http", "direction": "out", "name": "res"}]}`
}

// serve runs a host over the usual script root.
func serve(t *testing.T, mode string, settings ...string) (*hosttest.Host, string) {
	t.Helper()
	host := &hosttest.Host{Root: scriptRoot(t, mode, nil), Settings: settings}
	return host, hosttest.Serve(t, host)
}

// send sends a request and reads the answer. Redirects are not followed.
func send(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func request(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// arrived sends a request and returns what the handler received.
func arrived(t *testing.T, r *http.Request) arrival {
	t.Helper()
	response, body := send(t, r)
	var a arrival
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%s: %v: %s", response.Status, err, body)
	}
	return a
}
