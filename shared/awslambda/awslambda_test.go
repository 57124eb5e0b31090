package awslambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// invoke passes one event to h and decodes the answer as Lambda would.
func invoke(t *testing.T, h http.HandlerFunc, payload string) response {
	t.Helper()
	answer, err := Handler{HTTP: h}.Invoke(t.Context(), json.RawMessage(payload))
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	data, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var r response
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestOfFunctionURL(t *testing.T) {
	payload, err := os.ReadFile("testdata/function-url.json")
	if err != nil {
		t.Fatal(err)
	}
	answer := invoke(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/api/links/a b/secret" || r.URL.EscapedPath() != "/api/links/a%20b/secret" {
			t.Errorf("%s %q (escaped %q)", r.Method, r.URL.Path, r.URL.EscapedPath())
		}
		if got := r.URL.Query()["scope"]; len(got) != 2 || got[0] != "openid" || got[1] != "a,b" {
			t.Errorf("repeated query key: %q", got)
		}
		if r.RequestURI != "/api/links/a%20b/secret?scope=openid&scope=a%2Cb" {
			t.Errorf("RequestURI %q", r.RequestURI)
		}
		if r.Host != "abc.lambda-url.eu-west-1.on.aws" || r.Header.Get("Host") != "" {
			t.Errorf("Host %q, header %q", r.Host, r.Header.Get("Host"))
		}
		if r.RemoteAddr != "192.0.2.7:0" {
			t.Errorf("RemoteAddr %q", r.RemoteAddr)
		}
		if c, err := r.Cookie("second"); err != nil || c.Value != "v2" {
			t.Errorf("cookie: %v %v", c, err)
		}
		if got := r.Header.Get("If-Match"); got != `"tag"` {
			t.Errorf("If-Match %q", got)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "grant_type=client_credentials&slug=clinic" || r.ContentLength != int64(len(body)) {
			t.Errorf("body %q of %d bytes, %v", body, r.ContentLength, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("Vary", "Origin")
		w.Header().Add("Vary", "Accept")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("Too", "late")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}, string(payload))

	if answer.StatusCode != 201 || answer.Body != `{"ok":true}` || answer.IsBase64Encoded {
		t.Errorf("answer %+v", answer)
	}
	if answer.Headers["vary"] != "Origin, Accept" || answer.Headers["content-type"] != "application/json" {
		t.Errorf("headers %v", answer.Headers)
	}
	if _, ok := answer.Headers["too"]; ok {
		t.Error("a header set after WriteHeader was sent")
	}
	if len(answer.Cookies) != 2 || answer.Cookies[0] != "a=1" || answer.Headers["set-cookie"] != "" {
		t.Errorf("cookies %q, headers %v", answer.Cookies, answer.Headers)
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct{ stage, raw, path, escaped string }{
		{"$default", "/api/token", "/api/token", "/api/token"},
		{"$default", "", "/", "/"},
		{"$default", "/a%2Fb", "/a/b", "/a%2Fb"},
		{"$default", "/100%", "/100%", "/100%25"}, // API Gateway decodes
		{"prod", "/prod/api/token", "/api/token", "/api/token"},
		{"prod", "/prod", "/", "/"},
		{"prod", "/production/x", "/production/x", "/production/x"},
	} {
		payload, err := json.Marshal(map[string]any{
			"version": "2.0", "rawPath": c.raw,
			"requestContext": map[string]any{"stage": c.stage, "http": map[string]any{"method": "GET"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		invoke(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != c.path || r.URL.EscapedPath() != c.escaped {
				t.Errorf("stage %s, rawPath %q: path %q, escaped %q", c.stage, c.raw, r.URL.Path, r.URL.EscapedPath())
			}
		}, string(payload))
	}
}

const get = `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}`

func TestAnswers(t *testing.T) {
	binary := []byte{0xff, 0x00, 0xfe}
	t.Run("binary is base64", func(t *testing.T) {
		a := invoke(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(binary) }, get)
		body, err := base64.StdEncoding.DecodeString(a.Body)
		if err != nil || !a.IsBase64Encoded || !bytes.Equal(body, binary) || a.StatusCode != 200 {
			t.Errorf("%+v %v", a, err)
		}
	})
	t.Run("a missing content type is found as net/http does", func(t *testing.T) {
		a := invoke(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, get)
		if a.Headers["content-type"] != "text/html; charset=utf-8" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("nothing written is 200 without a body", func(t *testing.T) {
		a := invoke(t, func(http.ResponseWriter, *http.Request) {}, get)
		if a.StatusCode != 200 || a.Body != "" || a.Headers["content-type"] != "" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("204 takes no body", func(t *testing.T) {
		a := invoke(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("Write: %v", err)
			}
		}, get)
		if a.StatusCode != 204 || a.Body != "" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("the first status counts, informational ones do not", func(t *testing.T) {
		a := invoke(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusConflict)
			w.WriteHeader(http.StatusOK)
		}, get)
		if a.StatusCode != 409 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("HEAD has headers and no body", func(t *testing.T) {
		a := invoke(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
			strings.Replace(get, "GET", "HEAD", 1))
		if a.Body != "" || a.Headers["content-type"] != "text/plain; charset=utf-8" {
			t.Errorf("%+v", a)
		}
	})
}

// The same handler gives the same answer through net/http and through an event.
func TestSameAsNetHTTP(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Cookie"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	})
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/a%2Fb?x=1&x=2", strings.NewReader("ü"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "a=1; b=2")
	wire, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Body.Close()
	body, err := io.ReadAll(wire.Body)
	if err != nil {
		t.Fatal(err)
	}

	a := invoke(t, h, `{"version":"2.0","rawPath":"/a%2Fb","rawQueryString":"x=1&x=2","cookies":["a=1","b=2"],"body":"ü",
		"requestContext":{"stage":"$default","http":{"method":"PUT"}}}`)
	if a.StatusCode != wire.StatusCode || a.Headers["x-seen"] != wire.Header.Get("X-Seen") ||
		a.Body != string(body) || a.Headers["content-type"] != wire.Header.Get("Content-Type") {
		t.Errorf("event %+v\nwire  %d %v %q", a, wire.StatusCode, wire.Header, body)
	}
}

func TestSchedule(t *testing.T) {
	failure := errors.New("2 of 3 links could not be looked at")
	for _, source := range []string{"aws.events", "aws.scheduler"} {
		ran := false
		h := Handler{Schedule: func(context.Context) error { ran = true; return failure }}
		_, err := h.Invoke(t.Context(), json.RawMessage(`{"version":"0","source":"`+source+`","detail-type":"Scheduled Event","detail":{}}`))
		if !ran || !errors.Is(err, failure) {
			t.Errorf("%s: ran %v, error %v", source, ran, err)
		}
	}
}

func TestSchedulePanics(t *testing.T) {
	h := Handler{Schedule: func(context.Context) error { panic("the secret of a clinic") }}
	_, err := h.Invoke(t.Context(), json.RawMessage(`{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}`))
	if err == nil || strings.Contains(err.Error(), "clinic") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedEvents(t *testing.T) {
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	h := Handler{HTTP: reached, Schedule: func(context.Context) error { t.Error("the schedule ran"); return nil }}
	for name, payload := range map[string]string{
		"not an object":          `[]`,
		"empty":                  `{}`,
		"format 1.0":             `{"version":"1.0","path":"/","httpMethod":"GET"}`,
		"another source":         `{"version":"0","source":"aws.s3","detail-type":"Scheduled Event"}`,
		"another detail type":    `{"version":"0","source":"aws.events","detail-type":"Object Created"}`,
		"body that is no base64": `{"version":"2.0","rawPath":"/","isBase64Encoded":true,"body":"%","requestContext":{"http":{"method":"POST"}}}`,
		"path without slash":     `{"version":"2.0","rawPath":"x","requestContext":{"http":{"method":"GET"}}}`,
		"method with a space":    `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET /"}}}`,
	} {
		if answer, err := h.Invoke(t.Context(), json.RawMessage(payload)); err == nil || answer != nil {
			t.Errorf("%s: answer %v, error %v", name, answer, err)
		}
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	h := Handler{HTTP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("with a secret") })}
	answer, err := h.Invoke(t.Context(), json.RawMessage(get))
	if answer != nil || err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("answer %v, error %v", answer, err)
	}
}

func FuzzInvoke(f *testing.F) {
	f.Add(get)
	f.Add(`{"version":"2.0","rawPath":"/%","rawQueryString":"%","headers":{"":"\n"},"requestContext":{"http":{"method":"GET","sourceIp":"::1"}}}`)
	f.Add(`{"version":"0","source":"aws.events","detail-type":"Scheduled Event"}`)
	h := Handler{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "" || r.URL.Path[0] != '/' {
				panic("path without slash: " + r.URL.Path)
			}
			_, _ = io.Copy(w, r.Body)
		}),
		Schedule: func(context.Context) error { return nil },
	}
	f.Fuzz(func(t *testing.T, payload string) {
		answer, err := h.Invoke(t.Context(), json.RawMessage(payload))
		if err != nil {
			if strings.Contains(err.Error(), "panicked") {
				t.Fatal(err)
			}
			return
		}
		if _, err := json.Marshal(answer); err != nil {
			t.Fatal(err)
		}
	})
}
