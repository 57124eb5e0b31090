package hosttest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Rebuilding a rebuilt query changes nothing.
func FuzzRebuildQuery(f *testing.F) {
	for _, raw := range []string{"a=1&a=2", "a=1&A=2", "=x&&y", "%zz=+&a=%2C", "a=b=c"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !isASCII(raw) {
			return // Kestrel refuses it
		}
		once := rebuildQuery(raw)
		if twice := rebuildQuery(once); !strings.EqualFold(twice, once) {
			t.Errorf("%q becomes %q, then %q", raw, once, twice)
		}
		if _, err := url.ParseQuery(strings.ReplaceAll(once, ";", "%3B")); err != nil {
			t.Errorf("%q becomes %q: %v", raw, once, err)
		}
	})
}

// Whatever path a client sends, the target that a host writes in the request line is ASCII, has one
// path and its query, and can be unescaped.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{"/api/a%2Fb", "/api/%3Fx", "/api/%252F", "/api/100%25", `/api/..%5C..\x`, "/%C3%A4?a=%zz", "/a%", "/%%341"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, target string) {
		in, status := receive(&http.Request{Method: "GET", RequestURI: target, Host: "x"})
		if status != 0 || !strings.HasPrefix(target, "/") {
			return
		}
		in.Header = http.Header{}
		for _, got := range []string{forwarded(in, "").target, (&Host{}).proxied(in, &worker{}, "").target} {
			path, _, _ := strings.Cut(got, "?")
			if _, err := url.PathUnescape(path); err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " #\\") || !isASCII(path) {
				t.Errorf("%q becomes %q: %v", target, got, err)
			}
		}
	})
}

// An accepted template matches itself with its parameters filled in, and needs at least its
// literals.
func FuzzTemplate(f *testing.F) {
	f.Add("api/links/{slug?}/{part?}", "/api/links/a")
	f.Add("app/{*path}", "/app")
	f.Fuzz(func(t *testing.T, text, path string) {
		parsed, err := parseTemplate(text)
		if err != nil {
			return
		}
		parsed.match(path) // must not panic
		var filled []string
		for _, s := range parsed {
			if s.literal == "" {
				filled = append(filled, "x")
			} else {
				filled = append(filled, s.literal)
			}
		}
		if self := "/" + strings.Join(filled, "/"); !parsed.match(self) {
			t.Errorf("%q does not match %q", text, self)
		}
		if parsed[0].literal != "" && parsed.match("/") {
			t.Errorf("%q matches /", text)
		}
	})
}

func FuzzTimeSpan(f *testing.F) {
	for _, text := range []string{"00:05:00", "1.02:03:04.5", "-1", "00:00", "::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseTimeSpan(text); err == nil && strings.HasPrefix(text, "00:00:") && d >= time.Hour {
			t.Errorf("%q is %v", text, d)
		}
	})
}
