package oauth_test

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"fhirlink/shared/oauth"
)

func TestErrorWrite(t *testing.T) {
	w := httptest.NewRecorder()
	(&oauth.Error{
		Code: oauth.Unavailable, Description: "wait “a bit” — it's <&> \\büsy…\n", Status: 503, RetryAfter: 1100 * time.Millisecond,
		Allow: []string{"POST", "OPTIONS"}, Challenge: oauth.Bearer,
	}).Write(w)

	want := `{"error":"temporarily_unavailable","error_description":"wait 'a bit' - it's <&> %5Cb%C3%BCsy... "}` + "\n"
	if w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "Retry-After": "2",
		"Allow": "POST, OPTIONS", "WWW-Authenticate": "Bearer", "X-Content-Type-Options": "nosniff", "Content-Length": strconv.Itoa(len(want)),
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestErrorWriteDefaultsTo400(t *testing.T) {
	w := httptest.NewRecorder()
	(&oauth.Error{Code: oauth.InvalidGrant}).Write(w)
	if w.Code != 400 || w.Header().Get("WWW-Authenticate") != "" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestTokenWrite(t *testing.T) {
	w := httptest.NewRecorder()
	oauth.Token{AccessToken: "t", TokenType: "Bearer", ExpiresIn: 3599, Scope: "https://a/.default", Resource: "https://a"}.Write(w)
	want := `{"access_token":"t","token_type":"Bearer","expires_in":3599,"scope":"https://a/.default","resource":"https://a"}` + "\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Length": strconv.Itoa(len(want))} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestChallenge(t *testing.T) {
	tests := []struct{ code, description, scope, want string }{
		{"invalid_token", "", "", `Bearer error="invalid_token"`},
		{"invalid_token", `a "b" \`, "", `Bearer error="invalid_token", error_description="a 'b' %5C"`},
		{"insufficient_scope", "x\r\nSet-Cookie: a", "Links.Manage", `Bearer error="insufficient_scope", error_description="x  Set-Cookie: a", scope="Links.Manage"`},
	}
	for _, tt := range tests {
		if got := oauth.Challenge(tt.code, tt.description, tt.scope); got != tt.want {
			t.Errorf("Challenge = %s, want %s", got, tt.want)
		}
	}
}

// RFC 6749 §5.2 limits error_description to %x20-21 / %x23-5B / %x5D-7E.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"", "plain", `"\`, "\x00\x7f\xff", "Größe → “x” — y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := oauth.Plain(s)
		for _, c := range []byte(got) {
			if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Fatalf("Plain(%q) = %q has %q", s, got, c)
			}
		}
		if twice := oauth.Plain(got); twice != got {
			t.Errorf("Plain changes %q again into %q", got, twice)
		}
		w := httptest.NewRecorder()
		(&oauth.Error{Code: "x", Description: s}).Write(w)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("not JSON: %s", w.Body)
		}
	})
}
