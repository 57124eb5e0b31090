// Package secret holds the one type that client secrets and tokens travel in, and the
// contract of the stores that keep client secrets.
//
// A [Value] cannot print itself: fmt with any verb, encoding/json and log/slog all write
// "[redacted]", also when the Value sits in an unexported field of another struct. The text
// leaves through [Value.Reveal] only, so that a search for Reveal finds every place that
// handles it in the clear.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret text. The zero Value is empty. It holds a pointer because fmt reaches
// unexported fields by reflection, past every method; of a pointer it prints the address only.
type Value struct{ text *string }

// New wraps text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{&text}
}

// Reveal returns the text itself.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero tells whether the value is empty.
func (v Value) IsZero() bool { return v.text == nil }

// Equal compares in constant time for texts of one length.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// String returns a fixed text.
func (v Value) String() string { return redacted }

// GoString returns a fixed text.
func (v Value) GoString() string { return redacted }

// Format writes a fixed text for every verb, so that %x and %d say no more than %v.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a fixed text.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a fixed text.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads the secret from a request body.
func (v *Value) UnmarshalText(text []byte) error {
	*v = New(string(text))
	return nil
}
