package oauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ClientCredentials is the only grant_type of the links' token endpoint (RFC 6749 §4.4).
const ClientCredentials = "client_credentials"

// Error codes.
const (
	InvalidRequest       = "invalid_request"        // RFC 6749 §5.2
	InvalidClient        = "invalid_client"         // RFC 6749 §5.2: no client authentication included
	InvalidGrant         = "invalid_grant"          // RFC 6749 §5.2
	InvalidScope         = "invalid_scope"          // RFC 6749 §5.2
	UnauthorizedClient   = "unauthorized_client"    // RFC 6749 §5.2
	UnsupportedGrantType = "unsupported_grant_type" // RFC 6749 §5.2
	ServerError          = "server_error"           // RFC 6749 §4.1.2.1
	Unavailable          = "temporarily_unavailable"
	InvalidTarget        = "invalid_target"     // RFC 8707 §2
	InvalidToken         = "invalid_token"      // RFC 6750 §3.1
	InsufficientScope    = "insufficient_scope" // RFC 6750 §3.1
)

// Codes returns all of them.
func Codes() []string {
	return []string{
		InvalidRequest, InvalidClient, InvalidGrant, InvalidScope, UnauthorizedClient, UnsupportedGrantType, ServerError, Unavailable, InvalidTarget, InvalidToken, InsufficientScope,
	}
}

// Error is an error answer of the token endpoint.
type Error struct {
	Code        string
	Description string        // for people; Write applies Plain
	Status      int           // 400 when zero
	RetryAfter  time.Duration // Retry-After in seconds, rounded up; none when zero
	Allow       []string      // with 405
	Challenge   string        // WWW-Authenticate; none when empty
	Cause       error         // for the log only
}

// Error returns the code and the description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Token is the body of RFC 6749 §5.1. The member resource is RFC 8707's name for the target of
// the token.
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	Resource    string `json:"resource"`
}

// Write answers with the token and forbids caching (RFC 6749 §5.1).
func (t Token) Write(w http.ResponseWriter) { Write(w, t) }

// Write answers with a body that is sure to be JSON, and forbids caching (RFC 6749 §5.1).
func Write(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

// Write answers with the error.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	if e.RetryAfter > 0 {
		seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if len(e.Allow) > 0 {
		h.Set("Allow", strings.Join(e.Allow, ", "))
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	write(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.Code, Plain(e.Description)})
}

// write answers with JSON. It does not escape & < >: the answer is never part of HTML.
func write(w http.ResponseWriter, status int, body any) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // cannot fail: the bodies hold strings, numbers and booleans
	h := w.Header()
	maps.Copy(h, everyAnswer)
	h["Content-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone
}

// buffers and everyAnswer spare each answer their allocation. Nothing changes the values of a header
// in place.
var (
	buffers     = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	everyAnswer = http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "Pragma": {"no-cache"}, "X-Content-Type-Options": {"nosniff"},
	}
)

// typography maps the typographic characters of our texts to ASCII.
var typography = strings.NewReplacer(
	`"`, "'", "“", "'", "”", "'", "‘", "'", "’", "'", "–", "-", "—", "-", "→", ">", "…", "...", "\r", " ", "\n", " ", "\t", " ",
)

// Plain converts s to the characters that error_description may have: RFC 6749 §5.2 allows
// %x20-21, %x23-5B and %x5D-7E. It percent-encodes in UTF-8 what has no equivalent among them.
func Plain(s string) string {
	var b strings.Builder
	for _, c := range []byte(typography.Replace(s)) {
		if c < ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Bearer is the challenge for a request without a token. RFC 6750 §3.1 allows no error code in
// it.
const Bearer = "Bearer"

// Challenge returns the WWW-Authenticate header of RFC 6750 §3 for a refused token. scope names
// the sufficient scope and may be empty.
func Challenge(code, description, scope string) string {
	var b strings.Builder
	b.WriteString(Bearer + ` error="` + code + `"`)
	if description != "" {
		b.WriteString(`, error_description="` + Plain(description) + `"`)
	}
	if scope != "" {
		b.WriteString(`, scope="` + Plain(scope) + `"`)
	}
	return b.String()
}

// MaxScope is the length of the longest scope that is taken, in bytes.
const MaxScope = 512

// IsScope reports whether a text is one scope (scope-token of RFC 6749 §3.3) of at most MaxScope bytes.
func IsScope(text string) bool {
	if text == "" || len(text) > MaxScope {
		return false
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
