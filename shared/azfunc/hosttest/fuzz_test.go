package hosttest

import (
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
		once := rebuildQuery(raw)
		if twice := rebuildQuery(once); !strings.EqualFold(twice, once) {
			t.Errorf("%q becomes %q, then %q", raw, once, twice)
		}
		if _, err := url.ParseQuery(once); err != nil {
			t.Errorf("%q becomes %q: %v", raw, once, err)
		}
	})
}

// For every incoming path, net/http can send the outgoing path unchanged.
func FuzzAbsolutePath(f *testing.F) {
	for _, path := range []string{"/api/a%2Fb", "/api/%3Fx", "/api/%252F", "/api/100%25", "/ä"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		sent := &url.URL{Path: path}
		got := absolutePath(sent.EscapedPath())
		plain, err := url.PathUnescape(got)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", path, got, err)
		}
		if out := (&url.URL{Path: plain, RawPath: got}).EscapedPath(); out != got {
			t.Errorf("%q becomes %q, which is sent as %q", path, got, out)
		}
		if strings.ContainsAny(got, "?# ") {
			t.Errorf("%q becomes %q", path, got)
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
				filled = append(filled, url.PathEscape(s.literal))
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
