package smart

import (
	"fmt"
	"strings"
)

// Advice explains one finding about a scope or a setting: its code, what it means, and how to fix
// it.
type Advice struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Refusal is the error for a scope that cannot be carried without loss or ambiguity.
type Refusal Advice

// Error returns the message and the fix.
func (r *Refusal) Error() string { return r.Message + " " + r.Fix }

func refuse(code, message, fix string) *Refusal { return &Refusal{code, message, fix} }

// Mistake is one translation setting that cannot be used. Field is the request member of the
// endpoint that carries it.
type Mistake struct {
	Field string
	Advice
}

// Mistakes is the error of [New] and of the settings parsers. It holds every mistake at once.
type Mistakes []Mistake

// Error returns one line per mistake: field, message and fix.
func (m Mistakes) Error() string {
	var b strings.Builder
	for i, one := range m {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s %s", one.Field, one.Message, one.Fix)
	}
	return b.String()
}

func mistake(field, code, message, fix string) Mistake {
	return Mistake{field, Advice{code, message, fix}}
}

// brief shortens a value from a caller, so that no message grows with its input.
func brief(value string) string {
	const most = 60
	if len(value) > most {
		return fmt.Sprintf("%q…", value[:most])
	}
	return fmt.Sprintf("%q", value)
}
