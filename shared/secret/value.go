package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret text. The zero Value is empty. It holds a pointer because fmt reaches
// unexported fields by reflection and so bypasses every method; of a pointer it prints only the
// address.
type Value struct{ text *string }

// New returns a Value with the given text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{&text}
}

// Reveal returns the secret text.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether the value is empty.
func (v Value) IsZero() bool { return v.text == nil }

// Equal reports whether v and w have the same text. It compares texts of equal length in constant
// time.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// String returns "[redacted]".
func (v Value) String() string { return redacted }

// GoString returns "[redacted]".
func (v Value) GoString() string { return redacted }

// Format writes "[redacted]" for every verb, so that %x and %d reveal no more than %v.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads the secret from a request body.
func (v *Value) UnmarshalText(text []byte) error {
	*v = New(string(text))
	return nil
}
