package webhook

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	long := "https://hooks.example/" + strings.Repeat("a", maxURL)
	for _, tt := range []struct {
		raw       string
		anyTarget bool
		want      string // "" with a code: refused
		code      string
	}{
		{" https://hooks.example/a\n", false, "https://hooks.example/a", ""},
		{"HTTPS://Hooks.Example:443", false, "https://hooks.example", ""},
		{"https://hooks.example:/", false, "https://hooks.example/", ""},
		{"https://hooks.example/A%2Fb/?sig=x%20y&sig=z", false, "https://hooks.example/A%2Fb/?sig=x%20y&sig=z", ""},
		{"https://xn--bcher-kva.example/", false, "https://xn--bcher-kva.example/", ""},
		{"https://10.0.0.1:8443/hook", true, "https://10.0.0.1:8443/hook", ""},
		{"https://[::FFFF:10.0.0.1]/hook", true, "https://10.0.0.1/hook", ""},
		{"https://[FD00::1]:443/", true, "https://[fd00::1]/", ""},
		{"https://sink/", true, "https://sink/", ""},

		{"", false, "", "required"},
		{" ", true, "", "required"},
		{"hooks.example", false, "", "url_not_https"},
		{"http://hooks.example/", true, "", "url_not_https"},
		{"ftp://hooks.example/", true, "", "url_not_https"},
		{"javascript:alert(1)", true, "", "url_not_https"},
		{"https:hooks.example", true, "", "url_not_https"},
		{"https:///hook", true, "", "url_syntax"},
		{long, false, "", "url_syntax"},
		{"https://user:pass@hooks.example/", true, "", "url_syntax"},
		{"https://user@hooks.example/", true, "", "url_syntax"},
		{"https://hooks.example/#", true, "", "url_syntax"},
		{"https://hooks.example/a b", true, "", "url_syntax"},
		{"https://hooks.example/\r\nX: y", true, "", "url_syntax"},
		{"https://bücher.example/", true, "", "url_syntax"},
		{"https://hooks.example\\@evil.example/", true, "", "url_syntax"},
		{"https://hooks.example/%zz", true, "", "url_syntax"},
		{"https://hooks.example:8443/", false, "", "url_syntax"},
		{"https://hooks.example:0/", true, "", "url_syntax"},
		{"https://hooks.example:65536/", true, "", "url_syntax"},
		{"https://hooks.example./", false, "", "url_syntax"},
		{"https://hooks_1.example/", false, "", "url_syntax"},
		{"https://localhost/", false, "", "url_syntax"},
		{"https://127.0.0.1/", false, "", "url_syntax"},
		{"https://2130706433/", false, "", "url_syntax"},
		{"https://0x7f.1/", false, "", "url_syntax"},
		{"https://0177.0.0.1/", true, "", "url_syntax"},
		{"https://[::1]/", false, "", "url_syntax"},
		{"https://[::ffff:127.0.0.1]/", false, "", "url_syntax"},
		{"https://[fe80::1%25eth0]/", true, "", "url_syntax"},
	} {
		got, mistake := parseURL(tt.raw, tt.anyTarget)
		code := ""
		if mistake != nil {
			code = mistake.Code
			if mistake.Field != "url" || mistake.Message == "" || mistake.Fix == "" {
				t.Errorf("%q: %+v", tt.raw, mistake)
			}
		}
		if got != tt.want || code != tt.code {
			t.Errorf("%q, any %v: %q %q, want %q %q", tt.raw, tt.anyTarget, got, code, tt.want, tt.code)
		}
	}
}

// An accepted address stays the same when it is parsed again, and can be used in a POST.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"https://hooks.example/a?b=c", "HTTPS://A.B:443?", "https://[::ffff:1.2.3.4]:8443//x/../y", "https://a.b/%2f%00", "https://a.b:/#"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, anyTarget bool) {
		got, mistake := parseURL(raw, anyTarget)
		if mistake != nil {
			return
		}
		again, mistake := parseURL(got, anyTarget)
		if mistake != nil || again != got {
			t.Errorf("%q gives %q, which gives %q, %+v", raw, got, again, mistake)
		}
		r, err := http.NewRequest(http.MethodPost, got, nil)
		if err != nil || r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil || r.URL.Fragment != "" {
			t.Errorf("%q gives %q: %v", raw, got, err)
		}
	})
}

func TestParseDescription(t *testing.T) {
	for raw, want := range map[string]string{"": "", "  Büro \U0001F3E5 ": "Büro \U0001F3E5", strings.Repeat("ü", 200): strings.Repeat("ü", 200)} {
		if got, mistake := parseDescription(raw); got != want || mistake != nil {
			t.Errorf("%q: %q, %+v", raw, got, mistake)
		}
	}
	for _, raw := range []string{strings.Repeat("ü", 201), "a\nb", "a\x00b", "a\u202eb", "a\u2028b"} {
		if got, mistake := parseDescription(raw); mistake == nil || mistake.Field != "description" {
			t.Errorf("%q: %q", raw, got)
		}
	}
}
