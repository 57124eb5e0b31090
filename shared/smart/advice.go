package smart

import (
	"fmt"
	"strings"
)

// Advice is something to know about one scope: what it is, and what to do about it.
type Advice struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Refusal is the error of a scope that cannot be carried without loss or ambiguity.
type Refusal Advice

func (r *Refusal) Error() string { return r.Message + " " + r.Fix }

func refuse(code, message, fix string) *Refusal { return &Refusal{code, message, fix} }

// Mistake is one setting of a translation that cannot be used, named as the field of the
// endpoint that carries it.
type Mistake struct {
	Field string
	Advice
}

// Mistakes is the error of [New] and of the parsers of settings: all mistakes at once.
type Mistakes []Mistake

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

// brief shortens a value that a caller sent, so that no message grows with it.
func brief(value string) string {
	const most = 60
	if len(value) > most {
		return fmt.Sprintf("%q…", value[:most])
	}
	return fmt.Sprintf("%q", value)
}
